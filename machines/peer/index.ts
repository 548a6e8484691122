export * from './peer.machine.ts'
