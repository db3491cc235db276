import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AdminAccountsService } from './admin-accounts.service.js';
import { CredentialsService } from './credentials.service.js';
import { FirstAdminService } from './first-admin.service.js';
import { PasswordHasher } from './passwords/password-hasher.js';
import { PasswordVerifier } from './passwords/password-verifier.js';
import { RecoveryService } from './recovery.service.js';
import { RegistrationController } from './registration.controller.js';
import { User } from './user.entity.js';
import { UsersAdminRepository } from './users-admin.repository.js';
import { UsersAdminService } from './users-admin.service.js';
import { UsersController } from './users.controller.js';
import { UsersRepository } from './users.repository.js';
import { UsersService } from './users.service.js';

@Module({
  imports: [TypeOrmModule.forFeature([User])],
  controllers: [RegistrationController, UsersController],
  providers: [
    UsersService,
    CredentialsService,
    AdminAccountsService,
    FirstAdminService,
    UsersRepository,
    PasswordHasher,
    PasswordVerifier,
    UsersAdminService,
    UsersAdminRepository,
    RecoveryService,
  ],
  exports: [UsersService, UsersAdminService, CredentialsService, FirstAdminService, PasswordHasher, RecoveryService],
})
export class UsersModule {}
