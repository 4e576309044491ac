// How often a property is tried. `npm run test:long` tries each as often as its test says, `npm test` a fifth as often,
// with other random numbers each time, and `npm run test:quick` a tenth.

const PERCENT = Number(process.env.QUORATE_RUNS_PERCENT ?? 100)

/** For `fc.assert(property, { numRuns: runs(200) })`. */
export const runs = (full: number): number => Math.ceil((full * PERCENT) / 100)
