// Schedules of faults for simulations: as values, as text, drawn, and shrunk.

export { simulatedFaults } from './arbitrary.ts'
export { drawSchedule } from './draw.ts'
export type { SimulatedFault, SimulatedFaultKind } from './fault.ts'
export type { SimulatedFaultsOptions } from './options.ts'
export { SimulatedSchedule } from './schedule.ts'
export { type ShrinkOptions, shrinkSchedule } from './shrink.ts'
export { formatSchedule, parseSchedule } from './text.ts'
