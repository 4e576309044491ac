// How often a property is tried. `npm run test:quick` takes a tenth, so that the whole stays under 40 s;
// it finds what is plainly broken, and `npm test` the rest.

const quick = process.env.QUORATE_QUICK === '1'

/** For `fc.assert(property, { numRuns: runs(200) })`. */
export function runs(full: number): number {
  return quick ? Math.ceil(full / 10) : full
}
