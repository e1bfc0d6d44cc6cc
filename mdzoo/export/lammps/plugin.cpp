// Registers pair_style mdzoo where LAMMPS loads plugins.

#include <string>

#include <mpi.h>

#include "error.h"
#include "fmt/format.h"
#include "lammps.h"
#include "lammpsplugin.h"
#include "library.h"
#include "pair_mdzoo.h"

using namespace LAMMPS_NS;

static Pair *create(LAMMPS *lmp)
{
  return new PairMdzoo(lmp);
}

// What differs between this build and the LAMMPS that loads it, nothing where all is well.
static std::string difference(LAMMPS *lmp)
{
  const auto differ = [](const char *what, const std::string &here, const std::string &there) {
    return here == there ? std::string() : std::string(what) + " (" + here + "), got " + there;
  };
  char library[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  MPI_Get_library_version(library, &length);
  const bool open = std::string(library, length).find("Open MPI") != std::string::npos;
#ifdef OPEN_MPI
  const bool built_for_open = true;
#else
  const bool built_for_open = false;
#endif
  const auto family = [](bool open) { return open ? "Open MPI" : "MPICH and its kin"; };
  const auto bits = [](int bytes) { return std::to_string(8 * bytes) + " bits of an atom's ID"; };
  auto found = differ("version", std::to_string(MDZOO_LAMMPS), std::to_string(lmp->num_ver));
  if (found.empty()) found = differ("MPI", family(built_for_open), family(open));
  if (found.empty()) found = differ("sizes", bits(sizeof(tagint)), bits(lammps_extract_setting(lmp, "tagint")));
  return found;
}

extern "C" void lammpsplugin_init(void *pointer, void *handle, void *registrar)
{
  auto *lmp = static_cast<LAMMPS *>(pointer);
  const auto other = difference(lmp);
  if (!other.empty()) {
    lmp->error->warning(FLERR, "pair_style mdzoo must run in the LAMMPS that it was built for: the same {}, and is not "
                        "loaded; run `mdzoo lammps build` with headers=, mpi= and sizes= of this LAMMPS", other);
    return;
  }
  lammpsplugin_t plugin;
  plugin.version = lmp->version;
  plugin.style = "pair";
  plugin.name = "mdzoo";
  plugin.info = "potentials exported by mdzoo";
  plugin.author = "the mdzoo developers";
  plugin.creator.v1 = reinterpret_cast<lammpsplugin_factory1 *>(&create);
  plugin.handle = handle;
  (*reinterpret_cast<lammpsplugin_regfunc>(registrar))(&plugin, lmp);
}
