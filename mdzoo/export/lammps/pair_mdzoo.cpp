#include "pair_mdzoo.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <stdexcept>

#include "atom.h"
#include "comm.h"
#include "domain.h"
#include "error.h"
#include "force.h"
#include "memory.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "update.h"
#include "utils.h"

#ifdef _OPENMP
#include <omp.h>
#endif

using namespace LAMMPS_NS;

namespace {

constexpr int BLOCK = 4096;  // centres that the model gets at a time

const std::vector<std::string> SYMBOLS = {
    "X",  "H",  "He", "Li", "Be", "B",  "C",  "N",  "O",  "F",  "Ne", "Na", "Mg", "Al", "Si", "P",  "S",
    "Cl", "Ar", "K",  "Ca", "Sc", "Ti", "V",  "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As",
    "Se", "Br", "Kr", "Rb", "Sr", "Y",  "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn",
    "Sb", "Te", "I",  "Xe", "Cs", "Ba", "La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho",
    "Er", "Tm", "Yb", "Lu", "Hf", "Ta", "W",  "Re", "Os", "Ir", "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po",
    "At", "Rn", "Fr", "Ra", "Ac", "Th", "Pa", "U",  "Np", "Pu", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md",
    "No", "Lr", "Rf", "Db", "Sg", "Bh", "Hs", "Mt", "Ds", "Rg", "Cn", "Nh", "Fl", "Mc", "Lv", "Ts", "Og"};

std::string elements_of(const mdzoo::Model &model)
{
  std::string out;
  for (const auto z : model.atomic_numbers) out += (out.empty() ? "" : " ") + SYMBOLS.at(z);
  return out;
}

// Returns the rank's number among those of its node.
int local_rank(MPI_Comm world)
{
  MPI_Comm node;
  MPI_Comm_split_type(world, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
  int rank = 0;
  MPI_Comm_rank(node, &rank);
  MPI_Comm_free(&node);
  return rank;
}

}  // namespace

PairMdzoo::PairMdzoo(LAMMPS *lmp) : Pair(lmp), device("auto")
{
  single_enable = 0;
  restartinfo = 0;
  one_coeff = 1;
  manybody_flag = 1;
  comm_reverse = 12;  // columns of deviations that go to the owners of ghosts at a time
  centroidstressflag = CENTROID_AVAIL;
}

PairMdzoo::~PairMdzoo()
{
  if (allocated) {
    memory->destroy(setflag);
    memory->destroy(cutsq);
    memory->destroy(cutghost);
  }
}

void PairMdzoo::fail(const std::string &message)
{
  error->one(FLERR, "pair_style mdzoo: {}", message);
}

void PairMdzoo::allocate()
{
  allocated = 1;
  const int n = atom->ntypes + 1;
  memory->create(setflag, n, n, "pair:setflag");
  memory->create(cutsq, n, n, "pair:cutsq");
  memory->create(cutghost, n, n, "pair:cutghost");
  for (int i = 1; i < n; i++)
    for (int j = 1; j < n; j++) setflag[i][j] = 0;
}

void PairMdzoo::settings(int narg, char **arg)
{
  if (narg != 0 && (narg != 2 || std::string(arg[0]) != "device"))
    error->all(FLERR, "pair_style mdzoo must have no arguments or `device NAME`, got {} arguments; say "
               "`pair_style mdzoo`, or `pair_style mdzoo device cpu`", narg);
  if (narg == 2) device = arg[1];
}

void PairMdzoo::coeff(int narg, char **arg)
{
  if (narg != 3 + atom->ntypes)
    error->all(FLERR, "pair_coeff must have `* *`, a model and an element for each of the {} atom types, got {} "
               "arguments; say `pair_coeff * * model.pt Si O`, with NULL for types of another style",
               atom->ntypes, narg);
  if (!allocated) allocate();
  try {
    model = std::make_unique<mdzoo::Model>(arg[2], device, local_rank(world));
  } catch (const std::exception &problem) {
    fail(problem.what());
  }
  species_of.assign(atom->ntypes + 1, -1);
  for (int type = 1; type <= atom->ntypes; type++) {
    const std::string name = arg[2 + type];
    if (name == "NULL") continue;
    const auto symbol = std::find(SYMBOLS.begin(), SYMBOLS.end(), name);
    const auto &known = model->atomic_numbers;
    const auto place = std::find(known.begin(), known.end(), symbol - SYMBOLS.begin());
    if (symbol == SYMBOLS.end() || place == known.end())
      error->all(FLERR, "pair_coeff must name elements of the model ({}), got {} for type {}; choose among these, or "
                 "train a model that knows it", elements_of(*model), name, type);
    species_of[type] = place - known.begin();
  }
  for (int i = 1; i <= atom->ntypes; i++)
    for (int j = i; j <= atom->ntypes; j++) setflag[i][j] = species_of[i] >= 0 && species_of[j] >= 0;
  if (comm->me == 0)
    utils::logmesg(lmp, "mdzoo: {} ({}), {} on {}, cutoff {:g} Angstrom, reach {}, of {}\n", arg[2],
                   elements_of(*model), model->dtype, model->device, model->cutoff, model->reach, model->versions);
}

void PairMdzoo::init_style()
{
  if (!force->newton_pair)
    error->all(FLERR, "pair_style mdzoo must have `newton on`, got off: forces on ghosts go back to their owners");
  const std::string units = update->unit_style;
  if (units != "metal" && units != "real")
    error->all(FLERR, "pair_style mdzoo must have `units metal` or `units real`, got {}", units);
  if (units == "real") to_energy = utils::get_conversion_factor(utils::ENERGY, utils::METAL2REAL);
  if (model->reach < 0) {
    if (comm->nprocs > 1)
      error->all(FLERR, "pair_style mdzoo must run on one rank with this model, got {}: its energy is global (Ewald "
                 "sums or equilibrated charges); leave its long-range terms to LAMMPS with `pair_style "
                 "hybrid/overlay`, or use one rank", comm->nprocs);
    if (!atom->map_style)
      error->all(FLERR, "pair_style mdzoo must have an atom map with this model, got none; say `atom_modify map yes`");
    no_virial_fdotr_compute = 1;
  }
  const int around = model->reach > 1 ? NeighConst::REQ_GHOST : 0;
  ghostneigh = around ? 1 : 0;
  neighbor->add_request(this, NeighConst::REQ_FULL | around);
  if (model->reach > 1)
    comm->cutghostuser = std::max(comm->cutghostuser, model->reach * model->cutoff + neighbor->skin);
#ifdef _OPENMP
  omp_set_num_threads(comm->nthreads);
#endif
}

double PairMdzoo::init_one(int i, int j)
{
  const double cut = model->cutoff;
  cutghost[i][j] = cutghost[j][i] = cut;
  return cut;
}

// The row of an atom in the inputs, which it enters where it was not yet.
int PairMdzoo::row(int i)
{
  if (row_of[i] < 0) {
    row_of[i] = static_cast<int>(atoms.size());
    atoms.push_back(i);
    in.species.push_back(species_of[atom->type[i]]);
    in.ids.push_back(i < atom->nlocal ? atom->tag[i] - 1 : -1);
    const double *x = atom->x[i];
    in.positions.insert(in.positions.end(), x, x + 3);
    if (!std::isfinite(x[0] + x[1] + x[2]))  // it would be an atom without neighbours
      throw std::runtime_error("positions must be finite, got one that is no number for atom " +
                               std::to_string(atom->tag[i]) + " at step " + std::to_string(update->ntimestep) +
                               "; look at the last frames, and shorten the time step");
    in.charges.push_back(atom->q_flag ? atom->q[i] : 0.0);
  }
  return row_of[i];
}

// Enters the atoms [first, last) of the neighbour list as the leading rows, and their edges within the cutoff.
void PairMdzoo::fill_edges(int first, int last)
{
  in.clear();
  for (const int i : atoms) row_of[i] = -1;
  atoms.clear();
  row_of.resize(atom->nlocal + atom->nghost, -1);
  std::vector<int> mine;
  for (int k = first; k < last; k++)
    if (species_of[atom->type[list->ilist[k]]] >= 0) {
      mine.push_back(list->ilist[k]);
      row(list->ilist[k]);
    }
  const double most = model->cutoff * model->cutoff;
  for (const int i : mine) {
    const double *a = atom->x[i];
    for (int k = 0; k < list->numneigh[i]; k++) {
      const int j = list->firstneigh[i][k] & NEIGHMASK;
      const double *b = atom->x[j];
      const double dx = b[0] - a[0], dy = b[1] - a[1], dz = b[2] - a[2];
      if (dx * dx + dy * dy + dz * dz >= most || species_of[atom->type[j]] < 0) continue;
      in.centers.push_back(row_of[i]);
      in.neighbors.push_back(row(j));
    }
  }
}

void PairMdzoo::compute(int eflag, int vflag)
{
  const auto start = std::clock();
  ev_init(eflag, vflag);
  try {
    if (sure.asked()) begin_deviations();
    if (model->reach < 0)
      compute_owned();
    else
      compute_ghosts();
    if (sure.asked()) finish_deviations();
  } catch (const std::exception &problem) {
    fail(problem.what());
  }
  if (vflag_fdotr) virial_fdotr_compute();
  seconds += static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

// Ghosts are atoms: edges go to them, and the forces on them go back to their owners.
void PairMdzoo::compute_ghosts()
{
  if (model->reach > 1) {
    fill_edges(0, list->inum + list->gnum);
    model->evaluate(in, out);
    collect(std::count_if(in.ids.begin(), in.ids.end(), [](int64_t id) { return id >= 0; }));
    return;
  }
  for (int first = 0; first < list->inum; first += BLOCK) {
    const int last = std::min(first + BLOCK, list->inum);
    fill_edges(first, last);
    const auto owned = static_cast<size_t>(
        std::count_if(list->ilist + first, list->ilist + last, [this](int i) { return species_of[atom->type[i]] >= 0; }));
    if (owned == 0) continue;
    model->evaluate(in, out);
    collect(owned);
  }
}

// Every atom once, neighbours by their owners and lattice shifts: for energies that are no sum over neighbourhoods.
void PairMdzoo::compute_owned()
{
  const int n = atom->nlocal;
  fill_edges(0, list->inum);
  const double *h = domain->h;  // xx yy zz yz xz xy: the rows of the cell are (xx 0 0), (xy yy 0), (xz yz zz)
  const double cell[9] = {h[0], 0, 0, h[5], h[1], 0, h[4], h[3], h[2]};
  for (int k = 0; k < 3; k++) in.pbc[k] = domain->periodicity[k] != 0;
  for (int k = 0; k < 9; k++) in.cell[k] = in.pbc[k / 3] ? cell[k] : 0.0;
  for (auto &neighbor_row : in.neighbors) {
    const int j = atoms[neighbor_row], owner = j < n ? j : atom->map(atom->tag[j]);
    double apart[3];
    for (int k = 0; k < 3; k++) apart[k] = atom->x[j][k] - atom->x[owner][k];
    const double c = std::round(apart[2] / h[2]), b = std::round((apart[1] - c * h[3]) / h[1]);
    const double a = std::round((apart[0] - c * h[4] - b * h[5]) / h[0]);
    in.shifts.insert(in.shifts.end(), {a, b, c});
    neighbor_row = row_of[owner];
  }
  const size_t owned = std::count_if(atom->type, atom->type + n, [this](int t) { return species_of[t] >= 0; });
  atoms.resize(owned);
  in.species.resize(owned);
  in.ids.resize(owned);
  in.charges.resize(owned);
  in.positions.resize(3 * owned);
  if (owned == 0) return;
  model->evaluate(in, out);
  collect(owned);
  if (vflag_global)
    for (int k = 0; k < 6; k++) {
      static const int first[6] = {0, 1, 2, 0, 0, 1}, second[6] = {0, 1, 2, 1, 2, 2};
      const int a = 3 * first[k] + second[k], b = 3 * second[k] + first[k];
      virial[k] += 0.5 * (out.virial[a] + out.virial[b]) * to_energy;
    }
}

// Adds what the model said: energies of the leading `owned` rows, forces and virials of all.
void PairMdzoo::collect(size_t owned)
{
  double sum = 0.0;
  for (size_t k = 0; k < owned; k++) {
    sum += out.energies[k];
    if (eflag_atom) eatom[atoms[k]] += out.energies[k] * to_energy;
  }
  if (eflag_global) eng_vdwl += sum * to_energy;
  for (size_t k = 0; k < atoms.size(); k++)
    for (int c = 0; c < 3; c++) {
      sum += out.forces[3 * k + c];
      atom->f[atoms[k]][c] += out.forces[3 * k + c] * to_energy;
    }
  if (!std::isfinite(sum))
    throw std::runtime_error("energies and forces must be finite, got " + std::to_string(sum) + " at step " +
                             std::to_string(update->ntimestep) + "; atoms may overlap or have positions that are no "
                             "numbers: look at the last frames, shorten the time step, or add a repulsion (empirical=zbl)");
  static const int first[9] = {0, 1, 2, 0, 0, 1, 1, 2, 2}, second[9] = {0, 1, 2, 1, 2, 2, 0, 0, 1};
  for (size_t k = 0; (vflag_atom || cvflag_atom) && k < atoms.size(); k++) {
    const double *w = out.atom_virial.data() + 9 * k;
    for (int c = 0; vflag_atom && c < 6; c++)
      vatom[atoms[k]][c] += 0.5 * (w[3 * first[c] + second[c]] + w[3 * second[c] + first[c]]) * to_energy;
    for (int c = 0; cvflag_atom && c < 9; c++) cvatom[atoms[k]][c] += w[3 * first[c] + second[c]] * to_energy;
  }
  if (sure.asked()) add_deviations(owned);
}

double PairMdzoo::memory_usage()
{
  double bytes = Pair::memory_usage();
  for (const auto *list : {&in.positions, &in.charges, &in.shifts, &out.energies, &out.forces, &out.atom_virial, &sure.sums})
    bytes += 8.0 * list->capacity();
  for (const auto *list : {&in.species, &in.ids, &in.centers, &in.neighbors}) bytes += 8.0 * list->capacity();
  return bytes + 4.0 * (atoms.capacity() + row_of.capacity());
}
