// The HTTP API of a node; README.md says how it is built.

export type { HttpLimits } from './limits.ts'
export { httpLimits } from './limits.ts'
export type { HttpServer, HttpServerOptions } from './server.ts'
export { createHttpServer } from './server.ts'
