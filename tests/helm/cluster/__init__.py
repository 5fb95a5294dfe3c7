"""A stand-in for a Kubernetes cluster, on loopback: the API that Helm talks to, and pods that really run.

What is real: the objects, strict schema checks, rollouts by strategy, Services as TCP proxies, and every container as a
local process with its command, arguments, environment, volumes, read-only root, user, probes, preStop and grace.
What is not: images (the repository's own environment stands in), scheduling, network policies, admission plugins.
"""
