# Sourced by demo.sh and test.sh: makes a virtual environment with Python 3.11, 3.12 or 3.13, unless it is there.
#
#   make_venv FOLDER         then `$PYTHON` runs in it

suitable() {
    command -v "$1" > /dev/null 2>&1 &&
        "$1" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' > /dev/null 2>&1
}

make_venv() {
    PYTHON="$1/bin/python"
    [ -x "$PYTHON" ] && return
    for candidate in "${MDZOO_PYTHON:-}" python3.12 python3.11 python3.13 python3 python; do
        if [ -n "$candidate" ] && suitable "$candidate"; then
            echo "making $1 with $candidate"
            "$candidate" -m venv "$1"
            return
        fi
    done
    echo "mdzoo needs Python 3.11, 3.12 or 3.13; set MDZOO_PYTHON to one" >&2
    exit 1
}
