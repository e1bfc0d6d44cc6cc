// A model as machine code of this computer, made by `mdzoo export format=aoti`: see mdzoo/export/aoti.py.

#ifndef MDZOO_PACKAGE_H
#define MDZOO_PACKAGE_H

#include <memory>
#include <string>
#include <vector>

#include "model.h"

namespace mdzoo {

class Package {
 public:
  // note: the path of model.pt2, which names a package in the user's own cache; digests: the checksums in the contract of
  // the model.pt beside it. Every failure is a std::runtime_error.
  Package(const std::string &note, const std::string &digests, size_t n_species, double cutoff);
  ~Package();

  void evaluate(const Inputs &, Outputs &);

 private:
  struct Loaded;
  std::unique_ptr<Loaded> loaded;
  double far;
  std::vector<double> alone;  // energies of atoms without neighbours, one for each species

  void run(const Inputs &, const std::vector<size_t> &starts, size_t first, size_t last, Outputs &);
};

}  // namespace mdzoo

#endif
