export * from './activity.js';
export * from './errors.js';
export * from './frames.js';
export * from './limits.js';
export * from './messages.js';
export * from './request.js';
export * from './version.js';
