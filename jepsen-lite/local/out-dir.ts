// Where a run leaves what it found.

import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { Failure } from '../exit-codes.ts'

/** What an earlier run left there under these names goes; what somebody else has put there does not. */
export function prepareOut(path: string, names: readonly string[]): string {
  const out = resolve(path)
  mkdirSync(out, { recursive: true })
  const left = names.map((name) => join(out, name)).filter((one) => existsSync(one))
  if (left.length > 0 && !existsSync(join(out, 'history.jsonl')))
    throw new Failure(
      `${out} holds ${left.join(', ')}, but no history.jsonl: it is not the output of a run. Choose another --out.`,
    )
  for (const one of left) rmSync(one, { recursive: true })
  return out
}
