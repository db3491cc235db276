import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { CredentialsService } from './credentials.service.js';
import { FirstAdminService } from './first-admin.service.js';
import { PasswordHasher } from './passwords/password-hasher.js';
import { PasswordVerifier } from './passwords/password-verifier.js';
import { RegistrationController } from './registration.controller.js';
import { User } from './user.entity.js';
import { UsersController } from './users.controller.js';
import { UsersRepository } from './users.repository.js';
import { UsersService } from './users.service.js';

@Module({
  imports: [TypeOrmModule.forFeature([User])],
  controllers: [RegistrationController, UsersController],
  providers: [UsersService, CredentialsService, FirstAdminService, UsersRepository, PasswordHasher, PasswordVerifier],
  exports: [UsersService, CredentialsService, FirstAdminService, PasswordHasher],
})
export class UsersModule {}
