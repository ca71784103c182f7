"""What an event deserves under a policy. Pure: time, randomness and configuration come in as arguments.

adoptions says which policy that is, where a ledger adopted several.

assessment -> assess (calls one module a rule: tier, parts, ascend, ...) -> levels -> alerts -> describe
"""
