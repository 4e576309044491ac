// How often a property is tried. `npm run test:long` tries each as often as its test says, `npm test` a twentieth as
// often, with other random numbers each time.
//
// By default fast-check draws lists of about ten elements at most, whatever `maxLength` says. Longer histories would
// never be tried.

import fc from 'fast-check'

fc.configureGlobal({ ...fc.readConfigureGlobal(), defaultSizeToMaxWhenMaxSpecified: true })

const PERCENT = Number(process.env.QUORATE_RUNS_PERCENT ?? 100)

/** For `fc.assert(property, { numRuns: runs(200) })`. */
export const runs = (full: number): number => Math.ceil((full * PERCENT) / 100)
