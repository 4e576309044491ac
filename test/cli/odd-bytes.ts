// Keys and values with all that is special in words, JSON and terminals, for properties.

import fc from 'fast-check'
import { character } from '../characters.ts'

const WORDS = ['prefix', 'range', 'from', 'before', 'base64:', 'base64:AP8=', '@', '#', '0', '-1', 'ab/c']
const SIGNS = ['=', '{', '}', '(', ')', '[', ']', '"', "'", '“', '’', '\\', '\\x00', '\\u0000', '--']
const HIDDEN = [' ', '\t', '\n', '\r\n', '\0', '\u001b[2J', '\u007f', '\u0085', '\u00a0', '\u00ad', '\u2028']
const UNICODE = ['\u202e', '\u200b', '\u3000', '\ufeff', 'ü', '€', '😀', '👩‍👩‍👧‍👦', '\u{e0001}']

const piece = fc.oneof(
  fc.constantFrom(...WORDS, ...SIGNS, ...HIDDEN, ...UNICODE).map((text) => Buffer.from(text)),
  fc.string({ unit: character, maxLength: 6 }).map((text) => Buffer.from(text)),
  fc.uint8Array({ maxLength: 6 }).map((bytes) => Buffer.from(bytes)),
)

export const anyBytes: fc.Arbitrary<Buffer> = fc
  .array(piece, { maxLength: 5 })
  .map((pieces) => Buffer.concat(pieces))
