// Files share processes (vitest.config.ts). Spies end with their file. A file that leaves a clock or another global
// function replaced fails here, and not a file that runs later.

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

afterAll(() => {
  vi.restoreAllMocks()
  for (const [name, value] of Object.entries(replaceable()))
    if (value !== atStart[name as keyof typeof atStart]) expect.fail(`this file leaves ${name} replaced`)
})
