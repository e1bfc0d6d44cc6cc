// An exported mdzoo model behind plain vectors: what an engine needs to know of it, and nothing of torch.

#ifndef MDZOO_MODEL_H
#define MDZOO_MODEL_H

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace mdzoo {

// The arguments of an exported model for one structure of n atoms with e edges; eV, Angstrom, elementary charges.
struct Inputs {
  std::vector<int64_t> species;      // (n) index into atomic_numbers
  std::vector<double> positions;     // (n, 3)
  std::vector<int64_t> ids;          // (n) identity of the atom; negative where another process counts its energy
  std::vector<double> charges;       // (n)
  double cell[9] = {0, 0, 0, 0, 0, 0, 0, 0, 0};  // rows are lattice vectors
  bool pbc[3] = {false, false, false};
  std::vector<int64_t> centers;      // (e) ascending
  std::vector<int64_t> neighbors;    // (e)
  std::vector<double> shifts;        // (e, 3), or empty where all are zero

  void clear();
};

struct Outputs {
  std::vector<double> energies;     // (n)
  std::vector<double> forces;       // (n, 3)
  std::vector<double> virial;       // (3, 3), sum r (x) f
  std::vector<double> atom_virial;  // (n, 3, 3)
  std::vector<double> charges;      // (n)
  std::map<std::string, std::vector<double>> further;  // of a self-test: every output behind the six, by its name
};

// What an engine adds up over blocks and processes before it asks for the deviations of forces.
struct Pieces {
  std::vector<double> sigma;    // (n) deviation of the energy of each atom, eV; of those with their edges alone
  std::vector<double> grade;    // (n) the same
  std::vector<double> members;  // (n, width) forces by the members
};

class Package;

class Model {
 public:
  // Loads an exported file and runs the reference structures that it carries; every failure is a std::runtime_error
  // that says what must hold, what was found and what to do. device: "auto", "cpu" or "cuda:0" and the like. Of a
  // path that ends in .pt2, the package gives energies and forces, and the .pt beside it all else.
  Model(const std::string &path, const std::string &device, int local_rank);
  ~Model();

  void evaluate(const Inputs &inputs, Outputs &outputs);

  // The same for deviations, of a model that is `sure`; forces: whether those of forces are wanted.
  void pieces(const Inputs &inputs, bool forces, Pieces &out);
  // The deviation of a component of the force on each atom (n), root mean square of the three.
  std::vector<double> force_deviations(const std::vector<double> &sigma, const std::vector<double> &forces,
                                       const std::vector<double> &members);

  std::vector<int64_t> atomic_numbers;
  double cutoff = 0.0;
  int64_t reach = 0;
  std::string dtype;
  std::string device;
  std::string versions;   // of mdzoo and torch, of the file and of this process
  double deviation = 0.0;  // the largest of the self-test, in units of its tolerance
  bool sure = false;      // whether it knows its deviations
  size_t width = 0;       // columns of Pieces::members
  double seconds = 0.0;   // CPU time that it took so far

 private:
  struct Engine;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<Package> package;

  void self_test(const std::string &contract);
  void run(const std::string &method, const Inputs &inputs, Outputs &outputs);
};

}  // namespace mdzoo

#endif
