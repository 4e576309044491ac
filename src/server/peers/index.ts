// The exports of the links between replicas. README.md explains them.

export { LINK_LIMITS, type LinkLimits, newCounters } from './limits.ts'
export { Links } from './links.ts'
export type { Wire, WireOwner, Wires } from './wires.ts'
