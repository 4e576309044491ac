// Conversations that were recorded with etcd (`npm run etcd:record`), by its release, repeated with quorate.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { quickPasswords } from '../quick-passwords.ts'
import { isAlike, isExpected, type Recorded } from './differential/comparison.ts'
import { Conversation, type Step } from './differential/conversation.ts'
import type { Json } from './differential/frame.ts'
import { nodeOfFile } from './node-of-file.ts'

quickPasswords()

const RECORDED = join(import.meta.dirname, 'testdata')
const RELEASES = ['3.6', '3.4'] as const
const files = RELEASES.flatMap((release) =>
  readdirSync(join(RECORDED, release)).map((file) => {
    const recorded = JSON.parse(readFileSync(join(RECORDED, release, file), 'utf8')) as Record<
      string,
      Recorded
    >
    return [release, file, Object.entries(recorded)] as const
  }),
)

/** Limits of time only end what has failed. */
const WAIT = { timeout: 20_000, interval: 5 }

const node = nodeOfFile()
let runs = 0

describe.each(files)('%s %s', (release, _, recorded) => {
  test.each(recorded)('%s', async (_, { exchanges, watched }) => {
    const steps = exchanges.map(({ step }) => step)
    const expectAlike = (quorate: Json, etcd: Json, step?: Step): void => {
      const isAsExpected =
        step === undefined
          ? isAlike({ release, steps, etcd, quorate })
          : isExpected({ release, steps, step, etcd, quorate })
      if (!isAsExpected) expect(quorate, JSON.stringify(step)).toEqual(etcd)
    }
    const talk = await Conversation.begin(node.client, ++runs)
    try {
      for (const { step, watched: before, response } of exchanges) {
        await talk.delivered()
        if (before !== undefined) await vi.waitFor(() => expectAlike(talk.watched, before), WAIT)
        expectAlike(await talk.make(step), response, step)
      }
      await vi.waitFor(() => expectAlike(talk.watched, watched), WAIT)
    } finally {
      await talk.end()
    }
  })
})
