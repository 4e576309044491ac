// Requests of simulated processes to each other: cuts, slow links, lives of the server, and what ends a call.

import { expect, test } from 'vitest'
import { simulate, type World } from '../../../../jepsen-lite/testing/index.ts'
import { Client } from '../../../../src/client/index.ts'

const forever = () => new Promise<never>(() => {})

/** Starts a server that notes the texts of its requests. */
function noting(world: World, arrived: string[]) {
  return world.process('server', async () => {
    world.connect(async (request) => {
      arrived.push(await request.text())
      return new Response()
    })
    await forever()
  })
}

const post = (body: string) =>
  fetch('http://server/', { method: 'POST', body, signal: AbortSignal.timeout(1_000) })

test('a request that was held by a cut arrives at most once, and never at the next life of its server', async () => {
  await simulate({ seed: 1 }, async (world) => {
    const arrived: string[] = []
    const server = noting(world, arrived)
    const caller = world.process('caller', async ({ signal }) => {
      for (let turn = 0; turn < 2; turn++) {
        await world.after(100)
        await Promise.allSettled(Array.from({ length: 20 }, (_, at) => post(`${turn} ${at}`)))
        await world.after(1_000 * (turn + 1) - (world.now % 1_000))
      }
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
    })
    caller.cut('server')
    await world.after(500)
    expect(arrived).toEqual([])
    caller.heal()
    await world.after(100)
    const { length } = arrived
    expect(length).toBeGreaterThan(0)
    expect(length).toBeLessThan(20)
    caller.cut('server')
    await world.after(100)
    caller.heal()
    await world.after(100)
    expect(arrived).toHaveLength(length)
    caller.cut('server')
    await world.after(5_000)
    server.crash()
    server.start()
    await world.after(100)
    caller.heal()
    await world.after(1_000)
    expect(arrived).toHaveLength(length)
  })
})

test('a request of a process is a step of the run', async () => {
  const run = simulate({ seed: 1 }, async (world) => {
    noting(world, [])
    await world.after(1)
    await fetch('http://server/a?b', { method: 'POST', body: 'c' })
    throw new Error('bang')
  })
  await expect(run).rejects.toHaveProperty(
    'trace',
    expect.arrayContaining([expect.stringMatching(/ s body: POST http:\/\/server\/a\?b$/)]),
  )
})

test('a connection that is cut twice is whole when both cuts have ended', async () => {
  const schedule = '100 partition caller for 1000; 100 partition caller for 5000'
  await simulate({ seed: 1, schedule }, async (world) => {
    const caller = world.process('caller', async (self) => {
      await world.after(200)
      await self.client({ timeoutMs: 60_000 }).get('a')
    })
    await caller.ended
    expect(world.now).toBeGreaterThan(5_100)
  })
})

test('what a process reaches and is cut off from holds for nodes and processes that come later', async () => {
  await simulate({ seed: 1, nodes: 1, schedule: '2000 partition struck for 60000' }, async (world) => {
    const caller = (name: string, reaches?: readonly string[]) => {
      const answers: string[] = []
      const process = world.process(
        name,
        async () => {
          await world.after(10_000)
          for (const server of ['server', 'other'])
            await fetch(`http://${server}/`, { signal: AbortSignal.timeout(1_000) }).then(
              () => answers.push(server),
              () => {},
            )
          const kv = new Client({ endpoints: [added.url], discover: false, timeoutMs: 1_000 })
          await kv.get('a').then(
            () => answers.push('n2'),
            () => {},
          )
        },
        { reaches },
      )
      return { process, answers }
    }
    const callers = [caller('narrow', ['server']), caller('wide'), caller('cut'), caller('struck')]
    for (const name of ['server', 'other'])
      world.process(name, async () => {
        world.connect(() => new Response())
        await forever()
      })
    callers[2]?.process.cut()
    await world.after(3_000)
    const added = world.cluster.addNode()
    for (const { process } of callers) await process.ended
    expect(callers.map(({ answers }) => answers)).toEqual([
      ['server'],
      ['server', 'other', 'n2'],
      ['server', 'other'],
      ['server', 'other'],
    ])
  })
})

test('a process cannot be cut off from what there is not', async () => {
  await simulate({ seed: 1 }, (world) => {
    const server = noting(world, [])
    expect(() => server.cut('n1', 'sever')).toThrow(
      new RangeError('cut: there is no other node or process sever'),
    )
    server.cut('body', 'n5')
  })
})

test('no end of a connection is received through a cut', async () => {
  await simulate({ seed: 1 }, async (world) => {
    const server = world.process('server', async () => {
      world.connect(forever)
      await forever()
    })
    let end: unknown
    const caller = world.process('caller', async () => {
      await world.after(1)
      await fetch('http://server/').catch((error) => {
        end = error.cause.code
      })
    })
    await world.after(100)
    caller.cut('server')
    server.crash()
    await world.after(100)
    expect(end).toBeUndefined()
    caller.heal()
    await world.after(100)
    expect(end).toBe('ECONNRESET')
  })
})

test('fetch follows redirects', async () => {
  await simulate({ seed: 1 }, async (world) => {
    const serve = (name: string, handler: (request: Request) => Response | Promise<Response>) =>
      world.process(name, async () => {
        world.connect(handler)
        await forever()
      })
    const leave = (status: number, location: string) => new Response(null, { status, headers: { location } })
    serve('active', ({ method, headers, url }) =>
      Response.json({ method, url, token: headers.get('authorization'), type: headers.get('content-type') }),
    )
    serve('standby', ({ url }) => {
      const { pathname } = new URL(url)
      if (pathname === '/loop') return leave(302, '/loop')
      if (pathname === '/mail') return leave(302, 'mailto:active')
      return leave(Number(pathname.slice(1)), 'http://active/done')
    })
    await world.after(1)
    const post = async (path: string, options: RequestInit = {}) =>
      await fetch(`http://standby${path}`, {
        method: 'POST',
        body: 'text',
        headers: { authorization: 'secret' },
        ...options,
      })
    const codes: Record<number, unknown> = {}
    for (const status of [301, 302, 303, 307, 308]) {
      const response = await post(`/${status}`)
      expect(response).toMatchObject({ status: 200, redirected: true, url: 'http://active/done' })
      codes[status] = await response.json()
    }
    const [asGet, asPost] = [
      { method: 'GET', url: 'http://active/done', token: null, type: null },
      { method: 'POST', url: 'http://active/done', token: null, type: 'text/plain;charset=UTF-8' },
    ]
    expect(codes).toEqual({ 301: asGet, 302: asGet, 303: asGet, 307: asPost, 308: asPost })
    expect(await fetch('http://active/a')).toMatchObject({ redirected: false, url: 'http://active/a' })
    expect(await post('/307', { redirect: 'manual' })).toMatchObject({ status: 307, redirected: false })
    const causeOf = (error: Error) => (error.cause as Error).message
    expect(await post('/307', { redirect: 'error' }).catch(causeOf)).toBe('unexpected redirect')
    expect(await post('/loop').catch(causeOf)).toBe('redirect count exceeded')
    expect(await post('/mail').catch(causeOf)).toBe('no URL of HTTP: mailto:active')
  })
})

test('two processes are not the same host', async () => {
  await simulate({ seed: 1 }, async (world) => {
    noting(world, [])
    await world.after(1)
    const other = world.process('Server', () => {
      expect(() => world.connect(() => new Response())).toThrow('Server is the same host as server')
    })
    await other.ended
  })
})

test('a request that a cut has lost is reset when the cut is over', async () => {
  await simulate({ seed: 1 }, async (world) => {
    const arrived: string[] = []
    noting(world, arrived)
    const outcomes: string[] = []
    const caller = world.process('caller', async () => {
      await world.after(100)
      const call = (at: number) =>
        fetch('http://server/', { method: 'POST', body: String(at) }).then(
          () => 'answered',
          ({ cause }) => cause.code as string,
        )
      outcomes.push(...(await Promise.all(Array.from({ length: 20 }, (_, at) => call(at)))))
    })
    caller.cut('server')
    await world.after(5_000)
    expect(arrived).toEqual([])
    caller.heal()
    await caller.ended
    expect(world.now).toBeLessThan(5_100)
    expect(new Set(outcomes)).toEqual(new Set(['answered', 'ECONNRESET']))
    expect(outcomes.filter((outcome) => outcome === 'answered')).toHaveLength(arrived.length)
  })
})

test('two faults make a machine slow by their sum, and then by the one that lasts', async () => {
  const schedule = '100 slow-link caller by 300 for 2000; 100 slow-link caller by 500 for 8000'
  const took: number[] = []
  await simulate({ seed: 1, schedule }, async (world) => {
    noting(world, [])
    const caller = world.process('caller', async () => {
      for (const at of [200, 3_000, 10_000]) {
        await world.after(at - world.now)
        await fetch('http://server/')
        took.push(Math.floor((world.now - at) / 100))
      }
    })
    await caller.ended
  })
  expect(took).toEqual([16, 10, 0])
})

test('a handler of an earlier life is closed without effect', async () => {
  await simulate({ seed: 1 }, async (world) => {
    const handlers: { close(): void }[] = []
    const server = world.process('server', async () => {
      handlers.push(world.connect(() => new Response()))
      await forever()
    })
    await world.after(10)
    server.crash()
    server.start()
    await world.after(10)
    handlers[0]?.close()
    expect((await fetch('http://server/')).status).toBe(200)
    handlers[1]?.close()
    await expect(fetch('http://server/')).rejects.toMatchObject({ cause: { code: 'ECONNREFUSED' } })
  })
})

test('a call that is given up before it begins is not sent', async () => {
  await simulate({ seed: 1 }, async (world) => {
    const arrived: string[] = []
    noting(world, arrived)
    await world.after(10)
    const options = { method: 'POST', body: 'a', signal: AbortSignal.abort() }
    await expect(fetch('http://server/', options)).rejects.toMatchObject({ name: 'AbortError' })
    await world.after(100)
    expect(arrived).toEqual([])
  })
})

test('a call that is given up while its body is read is not sent', async () => {
  await simulate({ seed: 1 }, async (world) => {
    const arrived: string[] = []
    noting(world, arrived)
    await world.after(10)
    const giveUp = new AbortController()
    const call = fetch('http://server/', { method: 'POST', body: 'a', signal: giveUp.signal })
    giveUp.abort()
    await expect(call).rejects.toMatchObject({ name: 'AbortError' })
    await world.after(100)
    expect(arrived).toEqual([])
  })
})

test('the body that waits for ever is found soon after the last answer', async () => {
  const run = simulate({ seed: 1 }, async (world) => {
    noting(world, [])
    await world.after(10)
    await fetch('http://server/')
    await forever()
  })
  const failure = await run.catch((error: unknown) => error)
  expect(failure).toMatchObject({ code: 'deadlock' })
  expect((failure as { virtualMs: number }).virtualMs).toBeLessThan(60_000)
})

test('the body that waits for ever is found when a caller was killed', async () => {
  const run = simulate({ seed: 1 }, async (world) => {
    world.connect(forever)
    const caller = world.process('caller', async () => void (await fetch('http://body/')))
    await world.after(100)
    caller.crash()
    await forever()
  })
  const failure = await run.catch((error: unknown) => error)
  expect(failure).toMatchObject({ code: 'deadlock' })
  // The time for its answer has not passed.
  expect((failure as { virtualMs: number }).virtualMs).toBeLessThan(60_000)
})

test('a killed server answers nothing, and its handler fails nothing', async () => {
  await simulate({ seed: 1 }, async (world) => {
    const answer = Promise.withResolvers<Response>()
    const server = world.process('server', async () => {
      world.connect(() => answer.promise)
      await forever()
    })
    await world.after(10)
    const call = fetch('http://server/').catch(({ cause }) => cause.code)
    await world.after(100)
    server.crash()
    answer.reject(new Error('late'))
    expect(await call).toBe('ECONNRESET')
  })
})

test('a body that does not end is given up by the signal, and one that fails makes `fetch` fail', async () => {
  await simulate({ seed: 1 }, async (world) => {
    const arrived: string[] = []
    noting(world, arrived)
    await world.after(10)
    const send = (body: ReadableStream, signal = AbortSignal.timeout(1_000)) =>
      fetch('http://server/', { method: 'POST', body, signal, duplex: 'half' } as RequestInit)
    let reason: unknown
    const cancel = (given: unknown) => {
      reason = given
    }
    await expect(send(new ReadableStream({ cancel }))).rejects.toMatchObject({ name: 'TimeoutError' })
    expect(reason).toMatchObject({ name: 'TimeoutError' })
    expect(world.now).toBeGreaterThan(1_000)
    const broken = new Error('the source broke')
    const failing = new ReadableStream({ start: (controller) => controller.error(broken) })
    await expect(send(failing)).rejects.toMatchObject({ message: 'fetch failed', cause: broken })
    expect(arrived).toEqual([])
    await send(ReadableStream.from(['text and ', Buffer.from('bytes')]))
    expect(arrived).toEqual(['text and bytes'])
  })
})

test('an answer whose body fails is an error of its process', async () => {
  const broken = new Error('the source broke')
  const failing = () => new ReadableStream({ start: (controller) => controller.error(broken) })
  const run = simulate({ seed: 1 }, async (world) => {
    world.process('server', async () => {
      world.connect(() => new Response(failing()))
      await forever()
    })
    await world.after(10)
    await fetch('http://server/')
  })
  await expect(run).rejects.toMatchObject({ code: 'failed', cause: broken })
})
