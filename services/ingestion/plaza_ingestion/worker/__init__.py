"""The ingestion worker: it reads a department's file, judges every row by the contract and stages the result.

It holds no credentials of the city: it knows neither the lake nor the database, only a plan, a file and a
directory of its own. `load.run_load` is the one way in for a load, `infer.infer` for a contract proposal.
"""
