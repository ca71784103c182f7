"""What an event deserves under a policy. Pure: time, randomness and configuration come in as arguments.

adoptions says which policy that is, where a ledger adopted several.

judge (the door) -> assess (calls one module a rule: tier, parts, ascend, ...) or follower, adjustment
families (lots, resolutions, returns, reservations): what an event and all that name it come to
levels -> alerts
related (an event among those) -> describe, with its receipt; foresee what would be told; held lines
"""
