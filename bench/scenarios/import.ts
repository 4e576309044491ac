import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { QUORATE_COMMAND } from '../clusters/quorate.ts'
import type { Scenario } from './scenario.ts'

const FOLDERS = 200
const FILES = 100

export const IMPORT: Scenario = {
  name: 'import',
  about: `quorate import of ${FOLDERS * FILES} small files in ${FOLDERS} folders`,
  store: 'filled',
  per: 'system',
  async measure({ cluster }, { directory, valueBytes }) {
    const tree = await mkdtemp(join(directory, 'tree-'))
    await plant(tree, Buffer.alloc(valueBytes, 'a small file '))
    const endpoints = (await cluster.nodes()).map(({ url }) => url).join()
    const begin = performance.now()
    const args = ['import', tree, '--prefix', 'import/', '--endpoints', endpoints]
    await promisify(execFile)(process.execPath, [QUORATE_COMMAND, ...args])
    const seconds = (performance.now() - begin) / 1000
    await rm(tree, { recursive: true })
    return { figures: { keys_per_s: (FOLDERS * FILES) / seconds } }
  },
}

async function plant(tree: string, content: Buffer): Promise<void> {
  for (let folder = 0; folder < FOLDERS; folder++) {
    const path = join(tree, `folder-${folder}`)
    await mkdir(path)
    for (let file = 0; file < FILES; file++) await writeFile(join(path, `file-${file}`), content)
  }
}
