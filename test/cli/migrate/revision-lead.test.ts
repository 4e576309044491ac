// A target that is raised by writes, of which some are lost.

import { expect, test } from 'vitest'
import { RevisionLead } from '../../../src/cli/migrate/revision-lead.ts'
import { type Client, type GetOptions, OutcomeUnknownError } from '../../../src/client/index.ts'

test.each([2, 3, 50])('is above its source, though only each %s. write is made', async (each) => {
  let [revision, writes] = [1, 0]
  const keys = new Set<string>()
  const target = {
    get: async (_: string, { onAnswer }: GetOptions) => onAnswer?.({ revision } as never),
    put: async (key: string) => {
      keys.add(key)
      if (++writes % each === 0) revision += 1
      else throw new OutcomeUnknownError('lost', { code: 'outcome_unknown', written: 'unknown' })
    },
    delete: async (key: string) => void keys.delete(key),
  }
  const lead = new RevisionLead(target as unknown as Client, new AbortController().signal)
  expect(await lead.keep(5_000, 0)).toEqual({ kind: 'above', revision })
  expect(revision).toBeGreaterThan(5_000)
  expect([...keys]).toEqual([])
})
