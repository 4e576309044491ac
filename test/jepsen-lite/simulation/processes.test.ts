// Processes of a simulation: what their lives, their event loops and their connections have in common, and what not.

import { scrypt } from 'node:crypto'
import { existsSync } from 'node:fs'
import { expect, test } from 'vitest'
import { type SimulationError, simulate } from '../../../jepsen-lite/testing/index.ts'
import { Client } from '../../../src/client/index.ts'

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))
const forever = () => new Promise<never>(() => {})

test.each(['resolve', 'reject'] as const)(
  'a life that was killed neither ends the next one nor fails the run: its main function will %s',
  async (settle) => {
    await simulate({ seed: 1 }, async (world) => {
      const lives: PromiseWithResolvers<void>[] = []
      const worker = world.process('worker', () => {
        const life = Promise.withResolvers<void>()
        lives.push(life)
        return life.promise
      })
      await world.after(10)
      worker.crash()
      worker.start()
      await world.after(10)
      lives[0]?.[settle](settle === 'reject' ? (new Error('late') as never) : undefined)
      await world.after(10)
      expect(worker.running).toBe(true)
      lives[1]?.resolve()
      await worker.ended
    })
  },
)

test('work on the thread pool of a process that is killed has no outcome', async () => {
  const steps: string[] = []
  await simulate({ seed: 1 }, async (world) => {
    const derive = (name: string) => scrypt('password', 'salt', 1, { N: 2 }, () => void steps.push(name))
    const worker = world.process('worker', () => {
      derive('worker')
      worker.crash()
    })
    await world.after(1)
    derive('body')
    await world.after(1)
  })
  expect(steps).toEqual(['body'])
})

test('times for which an event loop is blocked add up, and a pause within them ends none', async () => {
  const times: number[] = []
  await simulate({ seed: 1 }, async (world) => {
    const worker = world.process(
      'worker',
      async () => {
        for (let at = 0; at < 3; at++) {
          await sleep(100)
          times.push(Math.round(world.now))
        }
      },
      { clock: 1 },
    )
    await world.after(150)
    worker.block(1_000)
    await world.after(50)
    worker.block(500)
    await world.after(100)
    worker.pause()
    await world.after(100)
    worker.resume()
    await worker.ended
  })
  expect(times).toEqual([100, 1_650, 1_750])
})

test.each([
  ['blocked', {}],
  ['paused by a schedule', { schedule: '50 pause worker for 60000' }],
])('the body waits for a process that is %s for long', async (_, options) => {
  const { virtualMs } = await simulate({ seed: 1, ...options }, async (world) => {
    const worker = world.process('worker', () => sleep(100), { clock: 1 })
    await world.after(50)
    if (!('schedule' in options)) worker.block(60_000)
    await worker.ended
  })
  expect(virtualMs).toBeCloseTo(60_050)
})

test('a cut lasts while its process begins anew, and healing ends all of them', async () => {
  await simulate({ seed: 1 }, async (world) => {
    let read = 0
    const worker = world.process('worker', async (self) => {
      const kv = self.client({ timeoutMs: 60_000 })
      for (;;) {
        await kv.get('a')
        read = world.now
        await sleep(100)
      }
    })
    await world.after(1_000)
    worker.cut()
    worker.cut('n1', 'n2', 'n3')
    const cutAt = world.now
    await world.after(1_000)
    worker.crash()
    worker.start()
    await world.after(10_000)
    expect(read).toBeLessThan(cutAt + 500)
    worker.heal()
    await world.until(() => read > cutAt + 500)
    worker.crash()
  })
})

test('closing one client of a process ends no request of another one', async () => {
  const run = simulate({ seed: 1 }, async (world) => {
    const worker = world.process('worker', async (self) => {
      const [one, other] = [self.client(), self.client()]
      await Promise.all([one.get('a'), other.get('a')])
      const put = other.put('a', 'b')
      await world.after(0)
      await one.close()
      await put
      await other.close()
      throw new Error('the end')
    })
    await worker.ended
  })
  const failure = await run.catch((error: unknown) => error as SimulationError)
  expect(failure).toMatchObject({ cause: { message: 'the end' } })
  // An ended request would be sent again.
  expect((failure as SimulationError).trace.filter((step) => step.includes('PUT'))).toHaveLength(1)
})

test('a process that is killed waits for no predicate any more', async () => {
  await simulate({ seed: 1 }, async (world) => {
    let isGone = false
    const worker = world.process('worker', () =>
      world.until(() => {
        if (isGone) throw new Error('the predicate is called')
        return false
      }),
    )
    await world.after(10)
    worker.crash()
    isGone = true
    await world.after(100)
  })
})

test('the body that waits for ever is found when a process with a watch was killed', async () => {
  const run = simulate({ seed: 1 }, async (world) => {
    const worker = world.process('worker', async (self) => {
      for await (const _ of self.client().watch({ key: 'a' })) void _
    })
    await world.after(1_000)
    worker.crash()
    await forever()
  })
  await expect(run).rejects.toMatchObject({ code: 'deadlock' })
})

test('the code of a process that is killed between two of its promises does nothing any more', async () => {
  const run = simulate({ seed: 1 }, async (world) => {
    let requests = 0
    world.process('server', async () => {
      world.connect(() => {
        requests++
        return new Response()
      })
      await forever()
    })
    const gate = Promise.withResolvers<void>()
    const worker = world.process('worker', async (self) => {
      const kv = self.client()
      await kv.put('before', '1')
      await gate.promise
      console.log('it runs')
      world.connect(() => new Response())
      void fetch('http://server/')
      void fetch('http://server/', { method: 'POST', body: 'text' })
      void Promise.reject(new Error('it runs'))
      await expect((async () => existsSync('/'))()).rejects.toThrow('fs.existsSync')
      await kv.put('after', '1')
    })
    await world.after(100)
    gate.resolve()
    worker.crash()
    await world.after(100)
    expect(requests).toBe(0)
    expect(worker.output).toEqual([])
    await expect(fetch('http://worker/')).rejects.toMatchObject({ cause: { code: 'ECONNREFUSED' } })
    await using kv = new Client({ endpoints: world.endpoints })
    expect(await kv.get('before')).toBeDefined()
    expect(await kv.get('after')).toBeUndefined()
    await forever()
  })
  // The request that was never sent keeps nobody waiting.
  await expect(run).rejects.toMatchObject({ code: 'deadlock' })
})

test('a process that was started again ends again', async () => {
  await simulate({ seed: 1 }, async (world) => {
    const worker = world.process('worker', () => world.after(100))
    await worker.ended
    worker.start()
    worker.crash()
    worker.start()
    await world.after(50)
    await worker.ended
    expect(world.now).toBe(200)
  })
})

test('a microtask of a process that was killed fails nothing', async () => {
  await simulate({ seed: 1 }, async (world) => {
    const worker = world.process('worker', () => {
      queueMicrotask(() => {
        throw new Error('late')
      })
      worker.crash()
    })
    await world.after(10)
  })
})

test('no process begins when the body has ended', async () => {
  const begun: number[] = []
  await simulate(
    { seed: 1, schedule: '100 crash worker for 1000; 1500 crash worker for 1' },
    async (world) => {
      world.process('worker', async () => {
        begun.push(Math.round(world.now))
        await forever()
      })
      world.process('other', async ({ signal }) => {
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
        await world.after(5_000)
      })
      await world.after(500)
    },
  )
  expect(begun).toEqual([0])
})

test('a process that was killed is none of those that wait', async () => {
  const run = simulate({ seed: 1 }, async (world) => {
    const main = async () => {
      await forever()
    }
    const killed = world.process('killed', main)
    world.process('worker', main)
    await world.after(10)
    killed.crash()
    await killed.ended
  })
  const failure: unknown = await run.catch((error: unknown) => error)
  const { message } = failure as SimulationError
  expect(message).toMatch(/\n {2}worker at /)
  expect(message).not.toMatch(/\n {2}killed at /)
})

test('a process that uses the client of another one, or of its earlier life, fails the run', async () => {
  const shared = simulate({ seed: 1 }, async (world) => {
    await using kv = new Client({ endpoints: world.endpoints })
    await world.process('worker', () => kv.get('a').catch(() => {})).ended
  })
  await expect(shared).rejects.toMatchObject({
    code: 'failed',
    message: expect.stringMatching(/^worker uses a client of body: /),
  })
  const kept = simulate({ seed: 1 }, async (world) => {
    let kv: Client | undefined
    const worker = world.process('worker', async (self) => {
      kv ??= self.client()
      await kv.get('a')
      await forever()
    })
    await world.after(100)
    worker.crash()
    worker.start()
    await world.after(100)
  })
  await expect(kept).rejects.toThrow(/^worker uses a client of its earlier life: /)
})

test('a process that is paused receives the outcome of its work when it resumes', async () => {
  const times: number[] = []
  await simulate({ seed: 1 }, async (world) => {
    const worker = world.process('worker', async () => {
      scrypt('password', 'salt', 1, { N: 2 }, () => times.push(world.now))
      worker.pause()
      await forever()
    })
    await world.after(100)
    worker.resume()
    await world.after(100)
  })
  expect(times).toEqual([100])
})

test('the clock of a process never goes back, also if it is skewed while the process is blocked', async () => {
  const times: number[] = []
  await simulate({ seed: 1 }, async (world) => {
    const worker = world.process('worker', async () => {
      worker.block(1_000)
      times.push(performance.now())
      await world.after(1)
      times.push(performance.now())
    })
    await world.after(1)
    worker.skewClock(0.5)
    await world.after(2_000)
  })
  expect(times).toHaveLength(2)
  expect(times).toEqual(times.toSorted((a, b) => a - b))
})
