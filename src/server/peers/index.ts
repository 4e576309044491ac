// The exports of the links between replicas. README.md explains them.

export { LINK_LIMITS, type LinkCounters, type LinkLimits, newCounters } from './limits.ts'
export { Links, type LinksOptions } from './links.ts'
export type { Dialled, Frame, LinkFrame, Wire, WireOwner, Wires } from './wires.ts'
