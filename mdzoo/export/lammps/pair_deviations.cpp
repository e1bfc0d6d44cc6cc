// How far to trust each atom, for `fix pair` and the Python interface: found on the steps that ask for it, and no others.

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "pair_mdzoo.h"

using namespace LAMMPS_NS;

namespace {

const char *NAMES[] = {"sigma", "force_sigma", "grade"};

}  // namespace

// The switches that `fix pair` turns on before a step whose deviations it wants, and the CPU time that was taken.
void *PairMdzoo::extract(const char *name, int &dim)
{
  dim = 0;
  for (int k = 0; k < 3; k++) {
    if (std::string(name) != std::string(NAMES[k]) + "_flag") continue;
    if (!model || !model->sure)
      error->all(FLERR, "fix pair must have a model that carries deviations for {}, got {}; run `mdzoo infer`, then "
                 "`mdzoo export` with uncertainty=local or members", NAMES[k], model ? "one without" : "no pair_coeff yet");
    return sure.wanted + k;
  }
  if (std::string(name) == "pair_seconds") return &seconds;
  if (std::string(name) == "model_seconds" && model) return &model->seconds;
  return nullptr;
}

void *PairMdzoo::extract_peratom(const char *name, int &columns)
{
  columns = 0;
  for (int k = 0; k < 3; k++)
    if (std::string(name) == NAMES[k]) return sure.values[k].empty() ? nullptr : sure.values[k].data();
  return nullptr;
}

// Empties what the blocks of this step add to.
void PairMdzoo::begin_deviations()
{
  for (auto &values : sure.values) values.assign(atom->nmax, 0.0);
  sure.columns = 3 + model->width;
  if (sure.wanted[FORCE_SIGMA]) sure.sums.assign((atom->nlocal + atom->nghost) * sure.columns, 0.0);
}

// Adds the block that is in `in` and `out`: values of its `owned` leading rows, forces of all.
void PairMdzoo::add_deviations(size_t owned)
{
  model->pieces(in, sure.wanted[FORCE_SIGMA], sure.pieces);
  for (size_t k = 0; k < owned; k++) {
    sure.values[SIGMA][atoms[k]] = sure.pieces.sigma[k];
    sure.values[GRADE][atoms[k]] = sure.pieces.grade[k];
  }
  if (!sure.wanted[FORCE_SIGMA]) return;
  const size_t width = model->width;
  for (size_t k = 0; k < atoms.size(); k++) {
    double *sum = sure.sums.data() + atoms[k] * sure.columns;
    for (size_t c = 0; c < 3; c++) sum[c] += out.forces[3 * k + c];
    for (size_t c = 0; c < width; c++) sum[3 + c] += sure.pieces.members[width * k + c];
  }
}

// Brings what ghosts hold to their owners, whose forces are then whole.
void PairMdzoo::finish_deviations()
{
  if (sure.wanted[FORCE_SIGMA]) {
    for (sure.first = 0; sure.first < sure.columns; sure.first += comm_reverse)
      comm->reverse_comm(this, std::min<int>(comm_reverse, sure.columns - sure.first));
    force_deviations();
  }
  for (int k = 0; k < 3; k++)
    for (int i = 0; i < atom->nlocal; i++) {
      if (k != GRADE) sure.values[k][i] *= to_energy;
      if (!std::isfinite(sure.values[k][i]))
        throw std::runtime_error(std::string(NAMES[k]) + " must be finite, got " + std::to_string(sure.values[k][i]) +
                                 " for atom " + std::to_string(atom->tag[i]) + "; run `mdzoo infer` again");
    }
}

void PairMdzoo::force_deviations()
{
  std::vector<int> mine;
  std::vector<double> sigma, forces, members;
  for (int i = 0; i < atom->nlocal; i++) {
    if (species_of[atom->type[i]] < 0) continue;
    mine.push_back(i);
    sigma.push_back(sure.values[SIGMA][i]);
    const auto sum = sure.sums.begin() + i * sure.columns;
    forces.insert(forces.end(), sum, sum + 3);
    members.insert(members.end(), sum + 3, sum + sure.columns);
  }
  if (mine.empty()) return;
  const auto found = model->force_deviations(sigma, forces, members);
  for (size_t k = 0; k < mine.size(); k++) sure.values[FORCE_SIGMA][mine[k]] = found[k];
}

int PairMdzoo::pack_reverse_comm(int n, int first, double *buffer)
{
  const int many = std::min<int>(comm_reverse, sure.columns - sure.first);
  int m = 0;
  for (int i = first; i < first + n; i++)
    for (int c = 0; c < many; c++) buffer[m++] = sure.sums[i * sure.columns + sure.first + c];
  return m;
}

void PairMdzoo::unpack_reverse_comm(int n, int *list, double *buffer)
{
  const int many = std::min<int>(comm_reverse, sure.columns - sure.first);
  int m = 0;
  for (int k = 0; k < n; k++)
    for (int c = 0; c < many; c++) sure.sums[list[k] * sure.columns + sure.first + c] += buffer[m++];
}
