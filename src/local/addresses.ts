// Addresses of a cluster on one machine. Every listener is on loopback.

export const HOST = '127.0.0.1'

export function urlOf(port: number, isSecure = false): string {
  return `${isSecure ? 'https' : 'http'}://${HOST}:${port}`
}

/** The port at the end of host:port, or of a URL that has a port and no path. */
export function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1))
}
