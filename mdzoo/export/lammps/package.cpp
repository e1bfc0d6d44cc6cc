#include "package.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <stdexcept>

#include <ATen/ATen.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/version.h>

using Loader = torch::inductor::AOTIModelPackageLoader;

namespace mdzoo {

namespace {

const char *HEAD = "mdzoo package 1";  // as in mdzoo/export/aoti.py
constexpr size_t EDGES = 8192;         // places in the tables that the package gets at a time, which stay in the cache

[[noreturn]] void refuse(const std::string &note, const std::string &got)
{
  throw std::runtime_error("the package must be built on this machine by `mdzoo export format=aoti`, from the model.pt "
                           "beside it, got " + note + ", " + got + "; build it here, or take model.pt");
}

// As mdzoo.cache_directory() in Python.
std::string folder()
{
  const auto from = [](const char *name) { const char *value = std::getenv(name); return std::string(value ? value : ""); };
  if (!from("MDZOO_CACHE_DIR").empty()) return from("MDZOO_CACHE_DIR") + "/packages";
  const auto cache = from("XDG_CACHE_HOME").empty() ? from("HOME") + "/.cache" : from("XDG_CACHE_HOME");
  return cache + "/mdzoo/packages";
}

// Whether something is a file or folder of this user that nobody else may write to.
bool is_own(const std::string &path, mode_t kind)
{
  struct stat found;
  return lstat(path.c_str(), &found) == 0 && (found.st_mode & S_IFMT) == kind && found.st_uid == geteuid() &&
      (found.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

// CRC-32 of a file, as of zlib, in hexadecimal digits.
std::string checksum(const std::string &path)
{
  std::ifstream file(path, std::ios::binary);
  uint32_t crc = ~0U;
  for (std::istreambuf_iterator<char> byte(file), end; byte != end; ++byte) {
    crc ^= static_cast<unsigned char>(*byte);
    for (int k = 0; k < 8; k++) crc = (crc >> 1) ^ (0xEDB88320U & (0U - (crc & 1U)));
  }
  char out[9];
  std::snprintf(out, sizeof(out), "%08x", ~crc);
  return out;
}

// Returns the path of the package that a note names: 64 digits, and behind a hyphen the checksum.
std::string named(const std::string &note)
{
  std::ifstream file(note);
  std::string head, name;
  if (!file) refuse(note, "which is not there");
  std::getline(file, head);
  std::getline(file, name);
  const bool is_name = name.size() == 73 && name.find_first_not_of("0123456789abcdef") == 64 && name[64] == '-' &&
      name.find_first_not_of("0123456789abcdef", 65) == std::string::npos;
  if (head != HEAD || !is_name) refuse(note, "a file of another kind");
  const auto path = folder() + "/" + name + ".pt2";
  struct stat found;
  if (lstat(path.c_str(), &found) != 0) refuse(note, "whose package is not in " + folder());
  if (!is_own(folder(), S_IFDIR) || !is_own(path, S_IFREG)) refuse(note, "whose package others than you may change (" + path + ")");
  if (checksum(path) != name.substr(65)) refuse(note, "whose package is damaged");
  return path;
}

std::set<std::string> words(const std::string &line)
{
  std::istringstream stream(line);
  return {std::istream_iterator<std::string>(stream), std::istream_iterator<std::string>()};
}

// What this processor can do, by its names in /proc/cpuinfo; empty where there is none.
std::set<std::string> processor()
{
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line))
    if (line.rfind("flags", 0) == 0 || line.rfind("Features", 0) == 0) return words(line.substr(line.find(':') + 1));
  return {};
}

// Refuses a package of another model, torch or processor, before any of its code runs.
void check(const std::string &note, const std::string &path, const std::string &digests)
{
  std::unordered_map<std::string, std::string> about;
  try {
    about = Loader::load_metadata_from_package(path, "model");
  } catch (const std::exception &) {
    refuse(note, "whose package is damaged");
  }
  if (about["model"] != digests) refuse(note, "of another model than the model.pt beside it");
  if (about["torch"] != TORCH_VERSION) refuse(note, "of torch " + about["torch"] + " (here " TORCH_VERSION ")");
  const auto here = processor();
  for (const auto &word : words(about["cpu"]))
    if (!here.empty() && here.count(word) == 0) refuse(note, "of a processor that has " + word);
}

}  // namespace

struct Package::Loaded {
  explicit Loaded(const std::string &path) : loader(path, "model", true) {}
  Loader loader;
};

Package::Package(const std::string &note, const std::string &digests, size_t n_species, double cutoff)
    : far(2.0 * cutoff)
{
  const auto path = named(note);
  check(note, path, digests);
  try {
    loaded = std::make_unique<Loaded>(path);
  } catch (const std::exception &) {
    refuse(note, "whose package is damaged");
  }
  Inputs atoms;
  Outputs out;
  for (size_t kind = 0; kind < n_species; kind++) atoms.species.push_back(static_cast<int64_t>(kind));
  atoms.positions.assign(3 * n_species, 0.0);
  out.energies.assign(n_species, 0.0);
  run(atoms, std::vector<size_t>(n_species + 1, 0), 0, n_species, out);
  alone = out.energies;
}

Package::~Package() = default;

void Package::evaluate(const Inputs &in, Outputs &out)
{
  const size_t n = in.species.size(), e = in.centers.size(), centers = e == 0 ? 0 : in.centers.back() + 1;
  out.energies.resize(n);
  out.forces.assign(3 * n, 0.0);
  out.atom_virial.assign(9 * n, 0.0);
  out.virial.assign(9, 0.0);
  out.charges = in.charges;
  std::vector<size_t> starts(centers + 1, 0);
  for (const auto i : in.centers) starts[i + 1]++;
  for (size_t i = 0; i < centers; i++) starts[i + 1] += starts[i];
  const size_t size = std::max<size_t>(1, EDGES * centers / std::max<size_t>(e, 1));
  for (size_t first = 0; first < centers; first += size) run(in, starts, first, std::min(first + size, centers), out);
  for (size_t i = centers; i < n; i++) out.energies[i] = alone[in.species[i]];
  for (size_t i = 0; i < 9 * n; i++) out.virial[i % 9] += out.atom_virial[i];
}

// Lays the edges of the atoms [first, last) into tables, runs the package and adds what it says.
void Package::run(const Inputs &in, const std::vector<size_t> &starts, size_t first, size_t last, Outputs &out)
{
  size_t width = 3;
  for (size_t i = first; i < last; i++) width = std::max(width, (starts[i + 1] - starts[i]) | 1);
  const auto n = static_cast<int64_t>(std::max<size_t>(2, last - first)), w = static_cast<int64_t>(width);
  const auto species = at::zeros({n}, at::kLong), there = at::zeros({n, w}, at::kLong);
  const auto vectors = at::full({n, w, 3}, far, at::kDouble);
  for (size_t i = first; i < last; i++) {
    species.data_ptr<int64_t>()[i - first] = in.species[i];
    for (size_t k = starts[i]; k < starts[i + 1]; k++) {
      const size_t place = (i - first) * width + k - starts[i], j = in.neighbors[k];
      there.data_ptr<int64_t>()[place] = in.species[j];
      for (int c = 0; c < 3; c++) {
        double r = in.positions[3 * j + c];
        for (int d = 0; d < 3 && !in.shifts.empty(); d++) r += in.shifts[3 * k + d] * in.cell[3 * d + c];
        vectors.data_ptr<double>()[3 * place + c] = r - in.positions[3 * i + c];
      }
    }
  }
  const auto found = loaded->loader.run({species, there, vectors});
  const auto energies = found.at(0).contiguous(), slopes = found.at(1).contiguous();
  std::copy_n(energies.data_ptr<double>(), last - first, out.energies.begin() + first);
  for (size_t i = first; i < last; i++)
    for (size_t k = starts[i]; k < starts[i + 1]; k++) {
      const size_t place = (i - first) * width + k - starts[i], j = in.neighbors[k];
      const double *g = slopes.data_ptr<double>() + 3 * place, *r = vectors.data_ptr<double>() + 3 * place;
      for (int c = 0; c < 3; c++) {
        out.forces[3 * i + c] += g[c];
        out.forces[3 * j + c] -= g[c];
        for (int d = 0; d < 3; d++) out.atom_virial[9 * j + 3 * c + d] -= r[c] * g[d];
      }
    }
}

}  // namespace mdzoo
