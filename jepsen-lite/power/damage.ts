// Damage that no power cut makes. A state that the rules of the disk allow must never be refused. A damaged state must
// be refused, or its damage must be found when it is read, or it must do no harm. It must never open with less than was
// acknowledged.

import type { Random } from '../workload/random.ts'
import type { Files } from './record.ts'

/** All files of the directory that are read, except the side file, which may say nothing. */
const DAMAGEABLE = /^(CURRENT|IDENTITY|MANIFEST-[0-9]+|[0-9]+\.(log|ldb))$/
const SECTOR_BYTES = 512

interface DamagedFiles {
  readonly files: Files
  readonly how: string
}

/** Damages one thing in one file. */
export function damaged(files: ReadonlyMap<string, Uint8Array>, random: Random): DamagedFiles {
  const whole = [...files].filter(([name, { length }]) => DAMAGEABLE.test(name) && length > 0)
  // There are more tables than other files, and less in them that can be damaged.
  const wals = whole.filter(([name]) => name.endsWith('.log'))
  const [name, content] = random.pick(wals.length > 0 && random.chance(0.5) ? wals : whole)
  const changed = new Map(files)
  const at = random.below(content.length)
  const copy = Uint8Array.from(content)
  switch (random.pick(['bit', 'bit', 'sector', 'cut', 'deleted'] as const)) {
    case 'bit': {
      const bit = random.below(8)
      copy[at] = (copy[at] ?? 0) ^ (1 << bit)
      return { files: changed.set(name, copy), how: `bit ${bit} of byte ${at} of ${name} flipped` }
    }
    case 'sector': {
      const from = at - (at % SECTOR_BYTES)
      copy.fill(0, from, from + SECTOR_BYTES)
      return { files: changed.set(name, copy), how: `zeros in ${name} from byte ${from}` }
    }
    case 'cut':
      return {
        files: changed.set(name, copy.subarray(0, at)),
        how: `${name} cut to ${at} of ${copy.length} bytes`,
      }
    case 'deleted':
      changed.delete(name)
      return { files: changed, how: `${name} deleted` }
  }
}
