import { createRequire } from 'node:module'

/**
 * From the package's manifest, by the name of the package: a clone and an installed one have it at different depths.
 */
export function version(): string {
  const manifest: unknown = createRequire(import.meta.url)('quorate/package.json')
  if (typeof manifest === 'object' && manifest !== null && 'version' in manifest)
    return String(manifest.version)
  throw new Error('package.json names no version')
}
