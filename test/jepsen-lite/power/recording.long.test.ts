// The whole check on a short recording of the shipped storage: it survives what the rules of the disk allow, and a disk
// that breaks them is found out.

import { beforeAll, describe, expect, test } from 'vitest'
import {
  checkSessions,
  type PowerRecording,
  recordSessions,
  whyNot,
} from '../../../jepsen-lite/power/index.ts'

const quiet = { progress: (): void => {}, out: undefined, seconds: 60 }
const seed = Date.now() % 2 ** 31

function recording(): void {
  let recording: PowerRecording

  beforeAll(async () => {
    recording = await recordSessions({ ...quiet, seed, sessions: 2, requests: 16 })
  })

  test('makes the storage do all that it can do, and leaves nothing that forgets what was acknowledged', async () => {
    const report = await checkSessions(recording, {
      ...quiet,
      seed,
      states: 200,
      damaged: 30,
      lyingDisk: false,
    })
    expect(report.violation_details).toEqual([])
    expect(report).toMatchObject({ states: 200, violations: 0, lacking: [], failed_session: null })
    expect(report.outcomes.opened).toBeGreaterThan(150)
  })

  // Found by this check: half a record at the end of a WAL, a start, some batches, and another power cut before the
  // next change of the directory. CURRENT was the old one again, and the node was refused.
  test('makes a start durable before anything is acknowledged', () => {
    for (const { events } of recording.sessions) {
      const disk = events.map((event) => (event.kind === 'disk' ? event.event : undefined))
      const renamed = disk.findLastIndex((event) => event?.kind === 'rename' && event.to === 'CURRENT')
      const opened = events.findIndex((event) => event.kind === 'mark' && event.mark.kind === 'opened')
      const wals = new Set(
        disk.flatMap((event) =>
          event?.kind === 'create' && event.name.endsWith('.log') ? [event.file] : [],
        ),
      )
      const isWal = (event: (typeof disk)[number]): boolean => event?.kind === 'sync' && wals.has(event.file)
      const written = disk.findIndex((event, at) => at > renamed && isWal(event))
      const synced = disk.findIndex((event) => event?.kind === 'sync-directory' && event.begun > renamed)
      expect(renamed).toBeGreaterThan(0)
      expect(synced).toBeGreaterThan(renamed)
      expect(synced).toBeLessThan(opened)
      expect(synced).toBeLessThan(written)
    }
  })

  test('on a disk that forgets what was synced is found to have lost it', async () => {
    const first = { ...recording, sessions: recording.sessions.slice(0, 1) }
    const report = await checkSessions(first, { ...quiet, seed, states: 120, damaged: 0, lyingDisk: true })
    expect(report.violations).toBeGreaterThan(0)
  })
}

if (whyNot() === undefined) describe(`a recording (seed ${seed})`, recording)
else test('says why it cannot be made here', () => expect(whyNot()).toMatch(/strace/))
