import time
import numpy as np
from wordlength.space import *
def test_x(tiny_evaluator, tiny_baseline):
    from wordlength.objectives.report import TrialJob
    c = Candidate.uniform([i.slot for i in tiny_baseline.slots], PowerOfTwo(4,-1), Fixed(16,2), Fixed(16,2))
    t=time.time()
    r,w=tiny_evaluator.evaluate(TrialJob(0,c))
    print(r.state,r.stoi_improvement,r.losses,r.seconds, time.time()-t, tiny_baseline.stoi_improvement, tiny_baseline.losses)
    t=time.time()
    r,w=tiny_evaluator.evaluate(TrialJob(0,c))
    print(time.time()-t)
