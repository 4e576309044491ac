// The flag --bump of commands that make a new cluster from old data.

import { InvalidArgumentError } from '@commander-js/extra-typings'
import { BUMP_MAX, BUMP_MIN } from '../backup/bump.ts'

export const BUMP_HELP = 'how many revisions later the new cluster begins, so that no watcher is fooled'

export function parseBump(text: string): number {
  const bump = /^[0-9]{1,13}$/.test(text) ? Number(text) : Number.NaN
  if (bump >= BUMP_MIN && bump <= BUMP_MAX) return bump
  throw new InvalidArgumentError(`it must be a whole number from ${BUMP_MIN} to ${BUMP_MAX}`)
}
