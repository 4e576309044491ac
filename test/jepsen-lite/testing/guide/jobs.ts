import type { Client } from '../../../../src/index.ts'
import { lock } from '../../../../src/recipes/index.ts'

type Job = () => Promise<void>

/** Does all jobs in their order. Several processes call it, and the one with the lock works. */
export async function doJobs(kv: Client, jobs: readonly Job[]): Promise<void> {
  const held = await lock(kv, 'jobs')
  const record = await kv.get('jobs/done')
  for (let done = Number(record?.text() ?? 0); done < jobs.length; done++) {
    await jobs[done]?.()
    await kv.put('jobs/done', String(done + 1))
  }
  await held.release()
}

/** The same, but only the holder of the lock writes. */
export async function doJobsGuarded(kv: Client, jobs: readonly Job[]): Promise<void> {
  const held = await lock(kv, 'jobs')
  const record = await kv.get('jobs/done')
  for (let done = Number(record?.text() ?? 0); done < jobs.length; done++) {
    await jobs[done]?.()
    await held.put('jobs/done', String(done + 1))
  }
  await held.release()
}
