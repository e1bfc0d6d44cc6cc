// pair_style mdzoo: any potential that mdzoo exported, as one file.

#ifndef LMP_PAIR_MDZOO_H
#define LMP_PAIR_MDZOO_H

#include <memory>
#include <string>
#include <vector>

#include "model.h"
#include "pair.h"

namespace LAMMPS_NS {

// pair_style mdzoo [device NAME]
// pair_coeff * * model.pt Si O
class PairMdzoo : public Pair {
 public:
  PairMdzoo(class LAMMPS *);
  ~PairMdzoo() override;
  void settings(int, char **) override;
  void coeff(int, char **) override;
  void init_style() override;
  double init_one(int, int) override;
  void compute(int, int) override;
  void *extract(const char *, int &) override;
  void *extract_peratom(const char *, int &) override;
  int pack_reverse_comm(int, int, double *) override;
  void unpack_reverse_comm(int, int *, double *) override;
  double memory_usage() override;

 private:
  enum { SIGMA, FORCE_SIGMA, GRADE };
  struct Deviations {
    int wanted[3] = {0, 0, 0};             // what `fix pair` asks for in this step
    std::vector<double> values[3];         // of each atom, of the last step that was asked for
    std::vector<double> sums;              // (atoms and ghosts, columns) forces by the model and by its members
    int columns = 0, first = 0;            // of sums, and the first of those that are communicated
    mdzoo::Pieces pieces;

    bool asked() const { return wanted[SIGMA] || wanted[FORCE_SIGMA] || wanted[GRADE]; }
  };

  std::string device;
  std::unique_ptr<mdzoo::Model> model;
  std::vector<int64_t> species_of;  // species of each LAMMPS type, -1 for those that are not the model's
  mdzoo::Inputs in;
  mdzoo::Outputs out;
  std::vector<int> atoms;      // which atom each row of the inputs is
  std::vector<int> row_of;     // the row of each atom in the inputs, -1 for none
  Deviations sure;
  double seconds = 0.0;  // CPU time of `compute` so far
  double to_energy = 1.0;  // units of this run in one eV; lengths are Angstrom in metal and real

  void allocate();
  int row(int atom);
  void fill_edges(int first, int last);
  void fill_owned();
  void compute_ghosts();
  void compute_owned();
  void collect(size_t owned);
  void begin_deviations();
  void add_deviations(size_t owned);
  void force_deviations();
  void finish_deviations();
  [[noreturn]] void fail(const std::string &);
};

}  // namespace LAMMPS_NS

#endif
