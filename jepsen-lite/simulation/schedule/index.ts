// Schedules of faults for simulations: as values, as text, drawn, and shrunk.

export { simulatedFaults } from './arbitrary.ts'
export { drawSchedule } from './draw.ts'
export { SimulatedSchedule } from './schedule.ts'
export { type ShrinkOptions, shrinkSchedule } from './shrink.ts'
export { formatSchedule, parseSchedule } from './text.ts'
export type { SimulatedFault, SimulatedFaultKind, SimulatedFaultsOptions } from './types.ts'
