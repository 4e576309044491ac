export * from './required.cjs'
export { stdout } from 'node:process'
