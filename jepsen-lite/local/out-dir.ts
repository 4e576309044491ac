// The output directory of a run or a study.

import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { CommandError } from '../exit-codes.ts'

/**
 * Creates the directory, and removes what an earlier run left there under these names. If such a name exists without a
 * history.jsonl, it is not from a run: then nothing is removed.
 */
export function prepareOut(path: string, names: readonly string[]): string {
  const out = resolve(path)
  mkdirSync(out, { recursive: true })
  const left = names.map((name) => join(out, name)).filter((one) => existsSync(one))
  if (left.length > 0 && !existsSync(join(out, 'history.jsonl')))
    throw new CommandError(
      `${out} contains ${left.join(', ')}, but no history.jsonl: it is not the output of a run. Choose another --out.`,
    )
  for (const one of left) rmSync(one, { recursive: true })
  return out
}
