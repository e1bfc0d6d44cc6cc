// Registers pair_style mdzoo where LAMMPS loads plugins.

#include "error.h"
#include "fmt/format.h"
#include "lammps.h"
#include "lammpsplugin.h"
#include "pair_mdzoo.h"

using namespace LAMMPS_NS;

static Pair *create(LAMMPS *lmp)
{
  return new PairMdzoo(lmp);
}

extern "C" void lammpsplugin_init(void *pointer, void *handle, void *registrar)
{
  auto *lmp = static_cast<LAMMPS *>(pointer);
  if (lmp->num_ver != MDZOO_LAMMPS) {
    lmp->error->warning(FLERR, "pair_style mdzoo must run in the LAMMPS that it was built for ({}), got {}, and is not "
                        "loaded; run `mdzoo lammps build` with this LAMMPS", MDZOO_LAMMPS, lmp->num_ver);
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
