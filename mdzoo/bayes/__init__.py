"""Which parameters are plausible?"""

from mdzoo.bayes.infer import Problem, infer
from mdzoo.bayes.members import with_members

__all__ = ["Problem", "infer", "with_members"]
