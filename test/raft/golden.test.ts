// The transcripts of test/raft/golden (notation: README.md there). `UPDATE_GOLDEN=1` writes them anew; `expect` lines
// stay, and must still hold.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { replay } from './harness/transcript.ts'

const folder = join(import.meta.dirname, 'golden')
const files = readdirSync(folder).filter((name) => name.endsWith('.golden'))

test.each(files.map((file) => [file.replace(/\.golden$/, '').replaceAll('-', ' '), file]))(
  '%s',
  (_, file) => {
    const path = join(folder, file)
    const written = readFileSync(path, 'utf8')
    const now = replay(written)
    if (process.env.UPDATE_GOLDEN === '1') writeFileSync(path, now)
    else expect(now).toBe(written)
  },
)
