// Files share processes (vitest.config.ts). Spies end with their file. A file that leaves a clock or another global
// function replaced, or a server listening, fails here, and not a file that runs later: a node that still runs sets
// timers, also those of a test that advances them.

import { afterAll, expect, vi } from 'vitest'

const replaceable = () => ({
  setTimeout,
  clearTimeout,
  setInterval,
  clearInterval,
  setImmediate,
  queueMicrotask,
  Date,
  now: performance.now,
  random: Math.random,
  kill: process.kill,
  emitWarning: process.emitWarning,
})
const atStart = replaceable()
const countServers = (): number =>
  process.getActiveResourcesInfo().filter((resource) => resource === 'TCPServerWrap').length
const serversAtStart = countServers()

afterAll(async () => {
  vi.restoreAllMocks()
  for (const [name, value] of Object.entries(replaceable()))
    if (value !== atStart[name as keyof typeof atStart]) expect.fail(`this file leaves ${name} replaced`)
  const isClosed = (): void => {
    if (countServers() > serversAtStart) expect.fail('this file leaves a server listening')
  }
  await vi.waitFor(isClosed, { timeout: 5_000, interval: 10 })
})
