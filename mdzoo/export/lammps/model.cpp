#include "model.h"

#include <cmath>
#include <ctime>
#include <stdexcept>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <torch/cuda.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/script.h>
#include <torch/version.h>

#include "json.h"
#include "package.h"

using json = LAMMPS_NS::json;

namespace mdzoo {

namespace {

constexpr int FORMAT = 1;  // of the contract, as in mdzoo/export/contract.py
const char *CONTRACT = "mdzoo.json";

std::string short_of(const std::exception &error)
{
  std::string text = error.what();
  return text.substr(0, text.find('\n'));
}

torch::Tensor view(const std::vector<double> &values, at::IntArrayRef sizes)
{
  return torch::from_blob(const_cast<double *>(values.data()), sizes, torch::kFloat64);
}

torch::Tensor view(const std::vector<int64_t> &values)
{
  const auto n = static_cast<int64_t>(values.size());
  return torch::from_blob(const_cast<int64_t *>(values.data()), {n}, torch::kInt64);
}

void copy(const torch::Tensor &tensor, std::vector<double> &out)
{
  const auto flat = tensor.detach().to(torch::kCPU, torch::kFloat64).contiguous();
  out.assign(flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel());
}

// numbers of nested lists, in order
void flatten(const json &list, std::vector<double> &out)
{
  if (list.is_array())
    for (const auto &item : list) flatten(item, out);
  else if (list.is_boolean())
    out.push_back(list.get<bool>() ? 1.0 : 0.0);
  else
    out.push_back(list.get<double>());
}

std::vector<double> numbers(const json &list)
{
  std::vector<double> out;
  flatten(list, out);
  return out;
}

std::vector<int64_t> integers(const json &list)
{
  const auto values = numbers(list);
  return {values.begin(), values.end()};
}

Inputs inputs_of(const json &lists)
{
  Inputs in;
  in.species = integers(lists.at("species"));
  in.positions = numbers(lists.at("positions"));
  in.ids = integers(lists.at("ids"));
  in.charges = numbers(lists.at("charges"));
  in.centers = integers(lists.at("centers"));
  in.neighbors = integers(lists.at("neighbors"));
  in.shifts = numbers(lists.at("shifts"));
  const auto cell = numbers(lists.at("cell")), pbc = numbers(lists.at("pbc"));
  for (int k = 0; k < 9; k++) in.cell[k] = cell.at(k);
  for (int k = 0; k < 3; k++) in.pbc[k] = pbc.at(k) != 0.0;
  return in;
}

double deviation(const std::vector<double> &found, const std::vector<double> &expected)
{
  if (found.size() != expected.size()) return INFINITY;
  double worst = 0.0;
  for (size_t k = 0; k < found.size(); k++) {
    const double off = std::abs(found[k] - expected[k]);
    if (!(off <= worst)) worst = off;  // NaN stays
  }
  return worst;
}

c10::List<torch::Tensor> listed(const std::vector<c10::IValue> &values)
{
  c10::List<torch::Tensor> out;
  for (const auto &value : values) out.push_back(value.toTensor());
  return out;
}

// The same as in mdzoo/export/torchscript.py: no time for optimisers whose work never comes back, memory is kept.
void prepare()
{
  torch::jit::setGraphExecutorOptimize(false);
  torch::jit::FusionStrategy none{{torch::jit::FusionBehavior::STATIC, 0}, {torch::jit::FusionBehavior::DYNAMIC, 0}};
  torch::jit::setFusionStrategy(none);
#ifdef __GLIBC__
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_MMAP_THRESHOLD, 1 << 25);
#endif
}

// Adds the CPU time of its life to a sum.
struct Clock {
  explicit Clock(double &sum) : sum(sum), start(std::clock()) {}
  ~Clock() { sum += static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC; }
  double &sum;
  std::clock_t start;
};

// Returns the device of a name; `auto` and `cuda` share out the GPUs of a node among its ranks.
torch::Device device_of(const std::string &name, int local_rank)
{
  const int gpus = torch::cuda::is_available() ? static_cast<int>(torch::cuda::device_count()) : 0;
  if (gpus > 0 && (name == "auto" || name == "cuda")) return torch::Device(torch::kCUDA, local_rank % gpus);
  const torch::Device device(name == "auto" ? "cpu" : name);
  if (device.is_cuda() && !torch::cuda::is_available())
    throw std::runtime_error("`device` must be one that this torch has, got " + name + ", and it has no CUDA; "
                             "use cpu, or a build of torch for CUDA");
  return device;
}

}  // namespace

void Inputs::clear()
{
  for (auto *list : {&species, &ids, &centers, &neighbors}) list->clear();
  for (auto *list : {&positions, &charges, &shifts}) list->clear();
}

struct Model::Engine {
  torch::jit::Module module;
  torch::Device device;
  torch::Tensor zeros;  // (e, 3) shifts of an engine whose ghosts are atoms

  std::vector<c10::IValue> arguments(const Inputs &);
};

Model::Model(const std::string &given, const std::string &wanted, int local_rank)
{
  prepare();
  const bool packaged = given.size() > 4 && given.substr(given.size() - 4) == ".pt2";
  const auto path = packaged ? given.substr(0, given.size() - 1) : given;
  const auto place = device_of(packaged && wanted == "auto" ? "cpu" : wanted, local_rank);
  if (packaged && !place.is_cpu())
    throw std::runtime_error("`device` must be cpu for a package, got " + wanted + "; take model.pt for a GPU");
  torch::jit::ExtraFilesMap extra{{CONTRACT, ""}};
  try {
    engine = std::make_unique<Engine>(Engine{torch::jit::load(path, place, extra), place, torch::Tensor()});
  } catch (const std::exception &error) {
    throw std::runtime_error("the model must be a whole exported file that torch " TORCH_VERSION " reads, got " + path +
                             " (" + short_of(error) + "); check the path, update torch, or export the model again");
  }
  device = place.str();
  if (extra[CONTRACT].empty())
    throw std::runtime_error("the model must be a file that mdzoo exported, got " + path +
                             ", a TorchScript file without its contract; write it with `mdzoo export`");
  try {
    const auto contract = json::parse(extra[CONTRACT]);
    versions = "mdzoo " + contract.at("mdzoo").get<std::string>() + ", torch " +
        contract.at("torch").get<std::string>() + " (here torch " TORCH_VERSION ")";
    if (contract.at("format") != FORMAT)
      throw std::runtime_error("the model must have a contract of format " + std::to_string(FORMAT) + ", got " +
                               contract.at("format").dump() + " of " + versions + "; export it again");
  } catch (const json::exception &error) {
    throw std::runtime_error("the model must have a readable contract, got " + path + " (" + short_of(error) +
                             "); it was altered: take another copy, or export it again");
  }
  for (const auto &z : engine->module.attr("atomic_numbers").toIntVector()) atomic_numbers.push_back(z);
  cutoff = engine->module.attr("cutoff").toDouble();
  reach = engine->module.attr("reach").toInt();
  dtype = engine->module.attr("dtype").toStringRef();
  self_test(extra[CONTRACT]);
  if (packaged) {
    const auto digests = json::parse(extra[CONTRACT]).value("sha256", json::object());
    package = std::make_unique<Package>(given, digests.value("archive", "") + " " + digests.value("contract", ""),
                                        atomic_numbers.size(), cutoff);
    self_test(extra[CONTRACT]);
  }
  sure = engine->module.find_method("pieces").has_value();
  if (!sure) return;
  Pieces some;
  pieces(inputs_of(json::parse(extra[CONTRACT]).at("references").at(0).at("inputs")), true, some);
  width = some.members.size() / std::max<size_t>(some.sigma.size(), 1);
}

Model::~Model() = default;

void Model::self_test(const std::string &text)
{
  const auto contract = json::parse(text);
  const std::string kind = engine->device.is_cuda() ? "cuda" : "cpu";
  const auto &tolerances = contract.at("tolerances").at(dtype).at(kind);
  for (const auto &entry : contract.at("references")) {
    Outputs out;
    if (package)
      package->evaluate(inputs_of(entry.at("inputs")), out);
    else
      run("forward", inputs_of(entry.at("inputs")), out);
    std::map<std::string, std::vector<double>> found = out.further;
    found["energies"] = out.energies;
    found["forces"] = out.forces;
    found["virial"] = out.virial;
    for (const auto &[name, values] : found) {
      const double off = mdzoo::deviation(values, numbers(entry.at("outputs").at(name)));
      const double allowed = tolerances.at(name).get<double>();
      if (!(off <= allowed))
        throw std::runtime_error("the model must give its own reference " + name + " to " + std::to_string(allowed) +
                                 ", got a deviation of " + std::to_string(off) + " on " + device + "; the file of " +
                                 versions + " was altered or does not suit this torch: export it again");
      deviation = std::max(deviation, off / allowed);
    }
  }
}

std::vector<c10::IValue> Model::Engine::arguments(const Inputs &in)
{
  const auto n = static_cast<int64_t>(in.species.size()), e = static_cast<int64_t>(in.centers.size());
  if (in.shifts.empty() && (!zeros.defined() || zeros.size(0) < e))
    zeros = torch::zeros({e + e / 8, 3}, torch::dtype(torch::kFloat64).device(device));
  const auto to = [this](const torch::Tensor &tensor) { return tensor.to(device); };
  double total = 0.0;
  for (const double charge : in.charges) total += charge;
  const auto pbc = torch::tensor({in.pbc[0], in.pbc[1], in.pbc[2]}, torch::kBool).unsqueeze(0);
  const auto cell = torch::from_blob(const_cast<double *>(in.cell), {1, 3, 3}, torch::kFloat64);
  return {to(view(in.species)), to(view(in.positions, {n, 3})),
          torch::zeros({n}, torch::dtype(torch::kInt64).device(device)), to(view(in.ids)), to(view(in.charges, {n})),
          to(torch::full({1}, total, torch::kFloat64)), to(cell), to(pbc), to(view(in.centers)),
          to(view(in.neighbors)), in.shifts.empty() ? zeros.slice(0, 0, e) : to(view(in.shifts, {e, 3}))};
}

void Model::evaluate(const Inputs &in, Outputs &out)
{
  if (!package) return run(sure ? "plain" : "forward", in, out);
  const Clock clock(seconds);
  package->evaluate(in, out);
}

void Model::run(const std::string &method, const Inputs &in, Outputs &out)
{
  const Clock clock(seconds);
  auto arguments = engine->arguments(in);
  if (method != "forward") arguments = {listed(arguments)};
  const auto found = engine->module.get_method(method)(arguments).toTuple();
  const auto &items = found->elements();
  copy(items[1].toTensor(), out.energies);
  copy(items[2].toTensor(), out.forces);
  copy(items[3].toTensor(), out.virial);
  copy(items[4].toTensor(), out.atom_virial);
  copy(items[5].toTensor(), out.charges);
  const auto &schema = found->type()->schema();
  for (size_t k = 6; k < items.size() && schema; k++)
    copy(items[k].toTensor(), out.further[schema->arguments()[k].name()]);
}

void Model::pieces(const Inputs &in, bool forces, Pieces &out)
{
  const Clock clock(seconds);
  const auto found = engine->module.get_method("pieces")({listed(engine->arguments(in)), forces}).toTuple();
  copy(found->elements()[0].toTensor(), out.sigma);
  copy(found->elements()[1].toTensor(), out.grade);
  copy(found->elements()[2].toTensor(), out.members);
}

std::vector<double> Model::force_deviations(const std::vector<double> &sigma, const std::vector<double> &forces,
                                            const std::vector<double> &members)
{
  const Clock clock(seconds);
  const auto n = static_cast<int64_t>(sigma.size()), m = static_cast<int64_t>(width / 3);
  const auto to = [this](const torch::Tensor &tensor) { return tensor.to(engine->device); };
  const auto found = engine->module.get_method("force_deviations")(
      {to(view(sigma, {n})), to(view(forces, {n, 3})), to(view(members, {n, m, 3}))});
  std::vector<double> out;
  copy(found.toTensor().to(torch::kFloat64).square().mean(1).sqrt(), out);
  return out;
}

}  // namespace mdzoo
