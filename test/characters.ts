import fc from 'fast-check'

/**
 * One code point of Unicode, as a unit of strings. `unit: 'binary'` of fast-check is the same, and takes a second and a
 * half to build its tables.
 */
export const character: fc.Arbitrary<string> = fc
  .oneof(fc.nat({ max: 0x7f }), fc.nat({ max: 0xffff }), fc.nat({ max: 0x10ffff }))
  .filter((code) => code < 0xd800 || code > 0xdfff)
  .map((code) => String.fromCodePoint(code))
