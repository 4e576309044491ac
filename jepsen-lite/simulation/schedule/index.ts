// Schedules of faults for simulations: values, and their text.

export type { SimulatedFault, SimulatedFaultKind } from './fault.ts'
export { SimulatedSchedule } from './schedule.ts'
export { formatSchedule, parseSchedule } from './text.ts'
