// Values of all sizes. A history would not hold them, so it names them: `7.12` is itself, `7.12:70000` stands for a
// text of 70,000 bytes that begins with its own name. Whatever else comes back is named by what it is, and nobody wrote
// that.

import { createHash } from 'node:crypto'
import type { Random } from './random.ts'

/** The store's limit on a value (docs/reference/limits.md), in bytes. */
export const VALUE_BYTES_MAX = 1 << 20
/**
 * What a server reads of a range at once (`sliceBytesMax`), in bytes: rows of about this size end slices in the middle.
 */
const SLICE_BYTES = 256 << 10

const SIZED = /^[0-9]+\.[0-9]+:([0-9]+)$/
const NAME_BYTES_MAX = 64
/** What is no name is kept as it is, up to this. */
const KEPT_BYTES_MAX = 16 << 10

/** The bytes that a name stands for, all of them ASCII. */
export function bodyOf(name: string): string {
  const size = Number(SIZED.exec(name)?.[1] ?? 0)
  return size === 0 ? name : `${name}|`.repeat(Math.ceil(size / (name.length + 1))).slice(0, size)
}

/** The name of what came back. */
export function nameOf(body: string): string {
  const name = body.slice(0, NAME_BYTES_MAX).split('|', 1)[0] ?? ''
  const size = SIZED.exec(name)?.[1]
  if (size === undefined && body.length <= KEPT_BYTES_MAX) return body
  // A size that a damaged name tells may be beyond any memory.
  if (Number(size) === body.length && bodyOf(name) === body) return name
  const digest = createHash('sha256').update(body).digest('hex').slice(0, 16)
  return `damaged: ${body.length} characters, sha256 ${digest}`
}

/** Mostly small; now and then so large that a page or a slice of a list ends at it; rarely as large as there may be. */
export function sizedName(name: string, random: Random): string {
  const draw = random.next()
  if (draw < 0.8) return name
  const size =
    draw < 0.97
      ? random.between(NAME_BYTES_MAX, 4_096)
      : draw < 0.998
        ? random.between(SLICE_BYTES / 4, 1.25 * SLICE_BYTES)
        : random.pick([SLICE_BYTES - 1, SLICE_BYTES, SLICE_BYTES + 1, VALUE_BYTES_MAX - 1, VALUE_BYTES_MAX])
  return `${name}:${Math.floor(size)}`
}
