// Values of all sizes. Large values are too long for a history, so it contains their names: `7.12` is the value itself,
// and `7.12:70000` is the name of a text of 70,000 bytes that begins with this name. A value that is not what its name
// says gets another name, which no client wrote.

import { createHash } from 'node:crypto'
import type { Random } from '../workload/random.ts'

/** The store's limit on a value (docs/reference/limits.md), in bytes. */
const VALUE_BYTES_MAX = 1 << 20
/**
 * The number of bytes of a range that a server reads at once (`sliceBytesMax`). Rows of about this size end a slice
 * early.
 */
const SLICE_BYTES = 256 << 10

const SIZED = /^[0-9]+\.[0-9]+:([0-9]+)$/
const NAME_BYTES_MAX = 64
/** A value without a size in its name is kept as it is, up to this length. */
const KEPT_BYTES_MAX = 16 << 10

/** The value with this name, all of it ASCII. */
export function bodyFromName(name: string): string {
  const size = Number(SIZED.exec(name)?.[1] ?? 0)
  return size === 0 ? name : `${name}|`.repeat(Math.ceil(size / (name.length + 1))).slice(0, size)
}

/** The name of a value that was read. */
export function nameFromBody(body: string): string {
  const name = body.slice(0, NAME_BYTES_MAX).split('|', 1)[0] ?? ''
  const size = SIZED.exec(name)?.[1]
  if (size === undefined && body.length <= KEPT_BYTES_MAX) return body
  // The length is compared first: the size in a damaged name may be larger than the memory.
  if (Number(size) === body.length && bodyFromName(name) === body) return name
  const digest = createHash('sha256').update(body).digest('hex').slice(0, 16)
  return `damaged: ${body.length} characters, sha256 ${digest}`
}

/**
 * Most values are small, some are so large that a page or a slice of a list ends at them, a few have the maximum size.
 */
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
