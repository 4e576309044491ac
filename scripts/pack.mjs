// Steps of `npm pack` and `npm publish` around the packing itself. In a fresh clone they first install the
// dependencies, as `npm start` does.
//
// The pinned Node (optionalDependencies node-*) and the script `prepare` are for those who develop quorate, not for
// those who install the package. npm packs package.json as it lies on disk, so `strip` rewrites it and
// `restore` brings the original back. npm calls no script when packing fails: therefore `strip` also leaves
// a watcher behind that restores as soon as npm is gone, however it ended.

import { spawn, spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const self = fileURLToPath(import.meta.url)
const root = dirname(dirname(self))
const manifest = join(root, 'package.json')
const original = join(root, '.package.json.unpacked')

const [step, npmPid] = process.argv.slice(2)
if (step === 'strip') strip()
if (step === 'restore') restore()
if (step === 'watch') await watch(Number(npmPid))

function strip() {
  // The parent is npm itself, because the prepack script starts with exec.
  const npm = process.ppid
  putBack()
  for (const script of ['setup.mjs', 'build.mjs']) {
    // The output of npm is the name of the packed file.
    const stdio = ['inherit', process.stderr, 'inherit']
    if (spawnSync(process.execPath, [join(root, 'scripts', script)], { stdio }).status === 0) continue
    process.exitCode = 1
    return
  }
  const stripped = JSON.parse(readFileSync(manifest, 'utf8'))
  for (const name of Object.keys(stripped.optionalDependencies)) {
    if (name.startsWith('node-')) delete stripped.optionalDependencies[name]
  }
  // It links the commands of a clone.
  delete stripped.scripts.prepare
  writeFileSync(`${original}.new`, `${JSON.stringify(stripped, null, 2)}\n`)
  copyFileSync(manifest, original)
  renameSync(`${original}.new`, manifest)
  spawn(process.execPath, [self, 'watch', String(npm)], { detached: true, stdio: 'ignore' }).unref()
}

function restore() {
  // `npm publish` reads the manifest once more between postpack and the upload, and that is the one which
  // the registry serves to those who install: it stays stripped until postpublish.
  if (process.env.npm_command === 'publish' && process.env.npm_lifecycle_event === 'postpack') return
  putBack()
}

async function watch(pid) {
  while (existsSync(original)) {
    if (!isAlive(pid)) putBack()
    await sleep(100)
  }
}

function putBack() {
  if (existsSync(original)) renameSync(original, manifest)
}

function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
