// Compares runs of schedules in Chromium with those in Node.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'vite'
import { expect, onTestFinished } from 'vitest'
import { generate, runSchedule, type WrongRuleName } from '../../../jepsen-lite/sim/index.ts'
import { loadRule } from '../../../jepsen-lite/wrong-rules/load-rule.ts'
import { operationFacts } from '../../../web/operation-facts.ts'
import { openPage } from '../browser.ts'

const root = join(import.meta.dirname, '../../..')

/** Runs the schedules of these seeds on both sides, one after the other; and the first one with each of the rules. */
export async function expectEqualRuns(
  seeds: readonly number[],
  rules: readonly WrongRuleName[] = [],
): Promise<void> {
  const page = await openPage('about:blank')
  await page.addScriptTag({ content: await builtEntry() })
  for (const seed of seeds) {
    const trace = await page.evaluate(`runDrawn(${seed})`)
    expect({ seed, trace }).toEqual({ seed, trace: runSchedule(generate(seed)).trace })
  }
  const [seed = 1] = seeds
  for (const rule of rules) {
    const trace = await page.evaluate(`runDrawn(${seed}, ${JSON.stringify(rule)})`)
    await loadRule(rule)
    expect({ rule, trace }).toEqual({ rule, trace: runSchedule({ ...generate(seed), rule }).trace })
  }
}

/** The script of a page, made with the build of the lab and with the plugin of its worker. */
async function builtEntry(): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'quorate-lab-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  await build({
    configFile: join(root, 'web/vite.config.ts'),
    logLevel: 'error',
    plugins: [operationFacts(root)],
    build: {
      outDir: directory,
      lib: { entry: join(import.meta.dirname, 'schedules-entry.ts'), formats: ['iife'], name: 'lab' },
      rolldownOptions: { output: { entryFileNames: 'entry.js' } },
    },
  })
  return readFileSync(join(directory, 'entry.js'), 'utf8')
}
