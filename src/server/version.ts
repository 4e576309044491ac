import { createRequire } from 'node:module'

/**
 * From the package's manifest, found by the package name, because its depth differs between a clone and an
 * installation.
 */
export function version(): string {
  const manifest: unknown = createRequire(import.meta.url)('quorate/package.json')
  if (typeof manifest === 'object' && manifest !== null && 'version' in manifest)
    return String(manifest.version)
  throw new Error('package.json names no version')
}
